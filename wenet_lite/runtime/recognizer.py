"""The recogniser object: files to text, and live streams to text."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch

from wenet_lite.decoding.calibration import read_calibration
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.fusion import NO_FUSION, Fusion, WordLm
from wenet_lite.decoding.fusion_tuning import FusionWeights
from wenet_lite.decoding.hotword_list import Phrase, spell_hotwords
from wenet_lite.decoding.ngram_arpa import read_arpa
from wenet_lite.decoding.options import DecodingMode, DecodingOptions
from wenet_lite.errors import ConfigError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.model.context import FRAME_MS, context_warnings
from wenet_lite.runtime.backend import BackendName, RuntimePrecision, load_backend
from wenet_lite.runtime.endpoint import NO_ENDPOINTS, Endpointing
from wenet_lite.runtime.model_dir import CALIBRATION
from wenet_lite.runtime.recordings import Audio, RecordingRecognizer
from wenet_lite.runtime.sample_rates import ACCEPTED_RATES
from wenet_lite.runtime.session import StreamingSession
from wenet_lite.runtime.stepper import StreamStepper
from wenet_lite.runtime.stream import Stream, StreamConfig
from wenet_lite.runtime.transcript import Transcriber, Transcript

_LOG = logging.getLogger(__name__)


class Recognizer:
    """Speech recognition from a model directory.

    Args:
        model_dir: what `export` wrote.
        options: of the searches.
        lm: fuse the directory's language model into them, with the weights that were tuned for it.
        backend: what to run: the PyTorch weights, the TorchScript file or the ONNX files.
        device: cpu or cuda.
        dtype: of the products of matrices; int8 takes the quantised files.
    Raises:
        ConfigError: if the directory lacks what is asked for, or the choices do not go together.
        CheckpointError: if a file of the directory was changed.
        DataError: if the language model is wanted and cannot be read.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        options: DecodingOptions | None = None,
        *,
        lm: bool = False,
        backend: BackendName = "pytorch",
        device: str = "cpu",
        dtype: RuntimePrecision = "float32",
    ) -> None:
        self.backend = load_backend(model_dir, backend, device, dtype)
        self.options = options or DecodingOptions()
        self.word_lm: WordLm | None = None
        if lm:
            folder = Path(model_dir) / "lm"
            weights = FusionWeights.read(folder / "weights.json")
            self.word_lm = WordLm(read_arpa(folder / "lm.arpa.gz"), weights.lm_weight, weights.word_bonus)
        fitted = Path(model_dir) / CALIBRATION
        calibration = read_calibration(fitted) if fitted.exists() else None
        self._transcriber = Transcriber(self.backend.tokenizer, self.frame_ms, calibration)
        self._decoder = Decoder(self.backend.model, self.options)
        self._warned: set[str] = set()
        self._like = torch.zeros(1, device=self.backend.device)

    @property
    def frame_ms(self) -> int:
        """Milliseconds from one encoder frame to the next."""
        return self.backend.model.encoder.embed.rate * FRAME_MS

    @property
    def chunk_ms(self) -> int:
        """Milliseconds of a stream's chunk unless another length is asked for."""
        return (self.backend.model.config.encoder.streaming_chunk_size or 1) * self.frame_ms

    @overload
    def transcribe(  # type: ignore[overload-overlap]  # a path is no sequence of paths
        self,
        audio: Audio,
        *,
        mode: DecodingMode = "attention_rescoring",
        hotwords: Sequence[Phrase] = (),
        sample_rate: int = SAMPLE_RATE,
    ) -> Transcript: ...

    @overload
    def transcribe(
        self,
        audio: Sequence[Audio],
        *,
        mode: DecodingMode = "attention_rescoring",
        hotwords: Sequence[Phrase] = (),
        sample_rate: int = SAMPLE_RATE,
    ) -> list[Transcript]: ...

    def transcribe(
        self,
        audio: Audio | Sequence[Audio],
        *,
        mode: DecodingMode = "attention_rescoring",
        hotwords: Sequence[Phrase] = (),
        sample_rate: int = SAMPLE_RATE,
    ) -> Transcript | list[Transcript]:
        """Recognise recordings of any length; one too short for the encoder is empty.

        Args:
            audio: a file, or (samples,) floats in [-1, 1] or integers, which are scaled by their type; or several.
            mode: the search.
            hotwords: phrases to listen for, with the scores of their units or without; what the model's units cannot
                spell is named in the log and left out.
            sample_rate: Hz of arrays.
        Returns:
            the transcript, or one for each recording of a sequence.
        Raises:
            AudioError: if a file cannot be read.
            InputError: if an array is no audio.
            ConfigError: if an exported model cannot be searched in that mode, or the sample rate is out of range.
        """
        _check_sample_rate(sample_rate)
        recognizer = RecordingRecognizer(self.backend, self.options, mode, self._fusion(hotwords), self._transcriber)
        if isinstance(audio, (str, os.PathLike, np.ndarray)):
            return next(recognizer([audio], sample_rate))
        return list(recognizer(audio, sample_rate))

    def stream(
        self,
        sample_rate: int = SAMPLE_RATE,
        *,
        chunk_ms: int | None = None,
        left_chunks: int = -1,
        hotwords: Sequence[Phrase] = (),
        endpointing: Endpointing | None = None,
    ) -> StreamingSession:
        """Start listening to a stream.

        Args:
            sample_rate: Hz of the audio that will come in.
            chunk_ms: length of a chunk; as in training, or 640, where not given.
            left_chunks: chunks of history, -1 for all of the utterance.
            hotwords: as in `transcribe`.
            endpointing: where the stream is cut into utterances; None takes it as one, but for what memory allows.
        Raises:
            ConfigError: if the model was not trained to stream, or not in such chunks.
        """
        opened = self.open_stream(
            sample_rate, chunk_ms=chunk_ms, left_chunks=left_chunks, hotwords=hotwords, endpointing=endpointing
        )
        return StreamingSession(opened, self.stepper())

    def open_stream(
        self,
        sample_rate: int = SAMPLE_RATE,
        *,
        chunk_ms: int | None = None,
        left_chunks: int = -1,
        hotwords: Sequence[Phrase] = (),
        endpointing: Endpointing | None = None,
    ) -> Stream:
        """As `stream`, of a stream that a `stepper` hears together with others."""
        encoder = self.backend.model.config.encoder
        if not encoder.streams:
            raise ConfigError("this model was trained on whole utterances and cannot stream")
        chunk_ms = self.chunk_ms if chunk_ms is None else chunk_ms
        if chunk_ms < self.frame_ms or chunk_ms % self.frame_ms:
            raise ConfigError(f"a chunk of {chunk_ms} ms is no multiple of {self.frame_ms} ms, an encoder frame")
        if left_chunks < -1:
            raise ConfigError(f"{left_chunks} chunks of history", cure="give -1 for all, or a number from 0")
        _check_sample_rate(sample_rate)
        chunk_size = chunk_ms // self.frame_ms
        for warning in context_warnings(encoder, chunk_size, left_chunks):
            if warning not in self._warned:  # once, not for each stream
                self._warned.add(warning)
                _LOG.warning("streams have %s", warning)
        config = StreamConfig(sample_rate, chunk_size, left_chunks, endpointing or NO_ENDPOINTS, self._fusion(hotwords))
        return Stream(self.backend.model, self._decoder, self.backend.tokenizer, config, self._like)

    def stepper(self) -> StreamStepper:
        """What hears streams of `open_stream`, many at once."""
        return StreamStepper(self.backend, self._decoder, self._transcriber)

    def _fusion(self, hotwords: Sequence[Phrase]) -> Fusion:
        tokenizer = self.backend.tokenizer
        spelled = spell_hotwords(hotwords, tokenizer, self.options.hotword_score)
        return Fusion(list(tokenizer.units), spelled, self.word_lm) if spelled or self.word_lm else NO_FUSION


def _check_sample_rate(sample_rate: int) -> None:
    if sample_rate not in ACCEPTED_RATES:
        raise ConfigError(f"a sample rate of {sample_rate} Hz is out of range")
