"""What an exported model must agree with: the eager model, on real audio."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import ExportError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.model_dir import LoadedModel

_LOG = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference between an export and the eager model, on log posteriors; a part of those that are below -1,
since float32 resolves a log posterior of -35 to 4e-6 only."""
MAX_DIVERGENCE = 0.05
"""Largest mean divergence of int8's posteriors from those in float32, nats a frame. Models whose error rates were the
same in int8 to 0.1 % had 0.001 to 0.003."""
_TIMED_CHUNKS = 20


@dataclass(frozen=True)
class Reference:
    """What the eager model makes of a recording.

    Attributes:
        key: its utterance id.
        features: (1, frames, bins).
        encoder_out: (1, encoder_frames, dim).
        log_probs: (1, encoder_frames, vocab) of CTC.
    """

    key: str
    features: Tensor
    encoder_out: Tensor
    log_probs: Tensor


class CheckedAudio:
    """Recordings, heard by the eager model in its chunks by masks, without a bound on history.

    Args:
        loaded: the model.
        audio: the recordings.
    Attributes:
        references: of each recording.
        chunk_size: encoder frames a chunk; -1 for a model that does not stream.
    """

    @torch.no_grad()
    def __init__(self, loaded: LoadedModel, audio: Sequence[Utterance]) -> None:
        self.chunk_size = loaded.model.config.encoder.streaming_chunk_size or -1
        self.references = []
        for utterance in audio:
            samples, rate = read_audio(utterance.source, utterance.start, utterance.end)
            waveform = torch.from_numpy(resample(samples, rate, SAMPLE_RATE)).unsqueeze(0)
            features, lens = loaded.fbank(waveform, torch.tensor([waveform.shape[1]]))
            encoder_out, _ = loaded.model.encoder(features, lens, self.chunk_size, -1)
            log_probs = loaded.model.ctc_log_probs(encoder_out)
            self.references.append(Reference(utterance.key, features, encoder_out, log_probs))


class Agreement:
    """How far an exported file is from the eager model; the largest difference counts, or int8's mean divergence.

    Args:
        path: of the file, for messages.
        is_int8: whether it is held to the divergence of its posteriors alone.
    """

    def __init__(self, path: Path, *, is_int8: bool) -> None:
        self.path, self.is_int8 = path, is_int8
        self._differences: list[Tensor] = []
        self._divergences: list[Tensor] = []

    @property
    def difference(self) -> float:
        """The largest one so far; NaN where anything was."""
        return float(torch.stack(self._differences).max())

    def compare(self, actual: Tensor, expected: Tensor, key: str) -> None:
        """Compare log probabilities (..., vocab).

        Args:
            actual, expected: of the export, and of the model.
            key: of the recording.
        Raises:
            ExportError: if the shapes differ.
        """
        if actual.shape != expected.shape:
            shapes = f"the export gives shape {tuple(actual.shape)}, the model {tuple(expected.shape)}"
            raise ExportError(f"{shapes} for {key}", path=self.path)
        self._differences.append(((actual - expected).abs() / expected.abs().clamp(min=1.0)).max().float())
        self._divergences.append((expected.exp() * (expected - actual)).sum(dim=-1).flatten())

    def conclude(self, ms: float, of_what: str = "a chunk") -> None:
        """Log size, speed and agreement.

        Args:
            ms: milliseconds that a call takes.
            of_what: what it is a call for.
        Raises:
            ExportError: if the export does not agree.
        """
        divergence = float(torch.cat(self._divergences).mean())
        seen = f"divergence {divergence:.2g} nats" if self.is_int8 else f"largest difference {self.difference:.2g}"
        if not (divergence <= MAX_DIVERGENCE if self.is_int8 else self.difference <= TOLERANCE):
            raise ExportError(f"the export differs from the model: {seen}", path=self.path)
        megabytes = self.path.stat().st_size / 1e6
        _LOG.info("%s: %.1f MB, %.1f ms %s on one thread, %s", self.path.name, megabytes, ms, of_what, seen)


def milliseconds(step: Callable[[], object]) -> float:
    """Median time of a call, on one thread of torch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for _ in range(_TIMED_CHUNKS):
            started = time.perf_counter()
            step()
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return 1000 * statistics.median(times)
