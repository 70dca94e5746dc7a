"""Whole recordings, short ones in batches and long ones in segments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from wenet_lite.data.audio import as_float, audio_info, resample
from wenet_lite.data.audio_blocks import read_blocks
from wenet_lite.decoding.batch_recognizer import BatchRecognizer, Hypotheses
from wenet_lite.decoding.fusion import Fusion
from wenet_lite.decoding.long_audio import LongAudioRecognizer
from wenet_lite.decoding.options import DecodingMode, DecodingOptions, Hypothesis
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.features.fbank import FRAME_SHIFT, SAMPLE_RATE
from wenet_lite.runtime.backend import Backend, padded_waveforms
from wenet_lite.runtime.transcript import Transcriber, Transcript
from wenet_lite.transfer import to_device

Audio = str | os.PathLike[str] | np.ndarray
"""A file, or (samples,) floats in [-1, 1] or integers, which are scaled by their type."""
_READ_AHEAD = 32
"""Recordings that are read before they are batched by length."""


class RecordingRecognizer:
    """Recognises recordings in one mode.

    Args:
        backend: the model.
        options: of the search.
        mode: the search.
        fusion: hotwords and language model.
        transcriber: of what is found.
    """

    def __init__(
        self,
        backend: Backend,
        options: DecodingOptions,
        mode: DecodingMode,
        fusion: Fusion,
        transcriber: Transcriber,
    ) -> None:
        wanted = RecognitionOptions((mode,), options, dtype=backend.precision, words=True)
        self._mode, self._transcriber = mode, transcriber
        self._recognizer = BatchRecognizer(backend.model, backend.fbank, wanted, backend.device, fusion)

    @torch.inference_mode()
    def __call__(self, audio: Sequence[Audio], sample_rate: int) -> Iterator[Transcript]:
        """Recognise.

        Args:
            audio: the recordings.
            sample_rate: Hz of those that are arrays.
        Yields:
            the transcript of each, in their order.
        """
        for first in range(0, len(audio), _READ_AHEAD):
            yield from self._recognized(audio[first : first + _READ_AHEAD], sample_rate)

    def _recognized(self, audio: Sequence[Audio], rate: int) -> list[Transcript]:
        options = self._recognizer.options
        found: dict[int, Transcript] = {}
        short: list[tuple[int, np.ndarray]] = []
        for i, each in enumerate(audio):
            if _seconds(each, rate) > options.max_segment_seconds:
                found[i] = self._long(_blocks(each, rate))
            else:
                short.append((i, np.concatenate(list(_blocks(each, rate)))))
        short.sort(key=lambda entry: len(entry[1]))
        while short:
            most = max(options.max_frames * FRAME_SHIFT // max(len(short[-1][1]), 1), 1)
            batch, short = short[-most:], short[:-most]
            for (i, samples), hyps in zip(batch, self._search([samples for _, samples in batch])):
                nbest = hyps[self._mode] if hyps else [Hypothesis((), 0.0)]
                found[i] = self._transcriber(nbest, len(samples) / SAMPLE_RATE)
        return [found[i] for i in range(len(audio))]

    def _long(self, blocks: Iterator[np.ndarray]) -> Transcript:
        num_samples = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal num_samples
            for block in blocks:
                num_samples += len(block)
                yield block

        hyps = LongAudioRecognizer(self._recognizer).recognize(counted())
        return self._transcriber(hyps[self._mode], num_samples / SAMPLE_RATE)

    def _search(self, samples: Sequence[np.ndarray]) -> list[Hypotheses | None]:
        """Of recordings of similar length; None for one that is too short for the encoder."""
        waveforms, num_samples = padded_waveforms(samples)
        device = self._recognizer.device
        return self._recognizer(to_device(waveforms, device), to_device(num_samples, device), (self._mode,))


def _seconds(audio: Audio, rate: int) -> float:
    return len(audio) / rate if isinstance(audio, np.ndarray) else audio_info(audio).duration


def _blocks(audio: Audio, rate: int) -> Iterator[np.ndarray]:
    """(samples,) at 16 kHz, in one or several blocks."""
    if isinstance(audio, np.ndarray):
        yield resample(as_float(audio), rate, SAMPLE_RATE)
    else:
        yield from read_blocks(audio, sample_rate=SAMPLE_RATE)
