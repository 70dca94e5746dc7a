"""From a batch of waveforms to hypotheses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wenet_lite.decoding.acoustic_model import AcousticModel
from wenet_lite.decoding.chunked_encoder import encode_by_chunks
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.options import DecodingMode, Hypothesis
from wenet_lite.decoding.precision import autocast, require_precision
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.features.fbank import FRAME_SHIFT, Fbank
from wenet_lite.model.context import FRAME_MS

Hypotheses = dict[DecodingMode, list[Hypothesis]]
"""Of one utterance, for each mode, best first; the best has spans where the options ask for words."""


@dataclass
class Work:
    """What recognition took.

    Attributes:
        audio_seconds: recognised.
        frames, padded_frames: feature frames encoded, without and with padding.
        seconds: of each mode: features, encoder, its own search and alignment.
        wall_seconds: from the end of the work before to the end of this, reading included.
    """

    audio_seconds: float = 0.0
    frames: int = 0
    padded_frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    wall_seconds: float = 0.0


class BatchRecognizer:
    """Features, one encoder pass, all searches over it and the alignment of what they find; keeps account of the work.

    Args:
        model, fbank: in eval mode, on `device`.
        options: modes, searches, chunks, precision.
        device: of the computation.
        fusion: hotwords and language model.
    Raises:
        ConfigError: if the device does not have the precision.
    """

    def __init__(
        self,
        model: AcousticModel,
        fbank: Fbank,
        options: RecognitionOptions,
        device: torch.device,
        fusion: Fusion = NO_FUSION,
    ) -> None:
        require_precision(options.dtype, device)
        self.model, self.fbank, self.options, self.device = model, fbank, options, device
        self._decoder = Decoder(model, options.decoding, fusion, aligns=options.words)
        self._encoder_seconds = 0.0
        self._taken = time.perf_counter()
        self.work = Work()

    @property
    def frame_samples(self) -> int:
        """Samples from one encoder frame to the next."""
        return self.model.encoder.embed.rate * FRAME_SHIFT

    @property
    def frame_ms(self) -> int:
        """Milliseconds from one encoder frame to the next."""
        return self.model.encoder.embed.rate * FRAME_MS

    @torch.inference_mode()
    def __call__(
        self, waveforms: Tensor, num_samples: Tensor, modes: Sequence[DecodingMode]
    ) -> list[Hypotheses | None]:
        """Recognise a batch.

        Args:
            waveforms: (batch, samples) in [-1, 1], 16 kHz, on the device.
            num_samples: (batch,) valid samples.
            modes: names of the searches.
        Returns:
            the hypotheses of each utterance; None for one that is too short for an encoder frame.
        """
        started = time.perf_counter()
        features, lens = self.fbank(waveforms, num_samples)
        heard = (lens > self.model.encoder.embed.right_context).nonzero().squeeze(1)
        if not len(heard):
            return [None] * len(lens)
        features, lens = features[heard], lens[heard]
        with self.autocast():
            encoder_out, encoder_lens = self._encode(features, lens)
        self.work.frames += int(lens.sum())
        self.work.padded_frames += lens.numel() * int(lens.max())
        self.count_encoder(started)
        found: list[Hypotheses | None] = [None] * len(waveforms)
        for index, hyps in zip(heard.tolist(), self.search(encoder_out, encoder_lens, modes)):
            found[index] = hyps
        return found

    @torch.inference_mode()
    def search(self, encoder_out: Tensor, lens: Tensor, modes: Sequence[DecodingMode]) -> list[Hypotheses]:
        """Search (batch, frames, dim) with (batch,) valid frames; returns the hypotheses of each utterance."""
        with self.autocast():
            found = self._decoder(encoder_out, lens, modes)
        return [{mode: found[mode][i] for mode in modes} for i in range(len(lens))]

    def autocast(self) -> AbstractContextManager[None]:
        """Products of matrices in the block have the precision of the options."""
        return autocast(self.options.dtype, self.device)

    def count_encoder(self, started: float) -> None:
        """Count the time since `started` as the encoder's; waits for a GPU, so that the clock is right."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._encoder_seconds += time.perf_counter() - started

    def take_work(self) -> Work:
        """The work since this was called last."""
        work, now = self.work, time.perf_counter()
        work.wall_seconds = now - self._taken
        for mode in self.options.modes:
            work.seconds[mode] = self._encoder_seconds + self._decoder.seconds.get(mode, 0.0)
        self._decoder.seconds.clear()
        self._encoder_seconds, self._taken, self.work = 0.0, now, Work()
        return work

    def _encode(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        encoder, options = self.model.encoder, self.options
        if options.streaming:
            return encode_by_chunks(encoder, features, lens, options.chunk_size, options.num_left_chunks)
        return encoder(features, lens, options.chunk_size, options.num_left_chunks)
