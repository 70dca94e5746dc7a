"""From the plan to padded batches of waveforms and tokens, loaded by worker processes in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wenet_lite.data.audio import change_speed, read_audio, resample
from wenet_lite.data.batch_plan import MicroBatch
from wenet_lite.data.manifest import Utterance
from wenet_lite.errors import AudioError

TOKEN_PAD = -1


@dataclass(frozen=True)
class Batch:
    """A padded micro-batch.

    Attributes:
        keys: ids of its utterances.
        waveforms: (batch, samples) float32 in [-1, 1], zero-padded.
        num_samples: (batch,) valid samples.
        tokens: (batch, length) unit ids, padded by TOKEN_PAD.
        token_lens: (batch,) valid tokens.
        failed: id and reason of each utterance that could not be read.
    """

    keys: list[str]
    waveforms: Tensor
    num_samples: Tensor
    tokens: Tensor
    token_lens: Tensor
    failed: dict[str, str]

    def to(self, device: torch.device) -> Batch:
        """Copy the tensors to a device, without waiting for it."""
        tensors = (self.waveforms, self.num_samples, self.tokens, self.token_lens)
        waveforms, num_samples, tokens, token_lens = (t.to(device, non_blocking=True) for t in tensors)
        return Batch(self.keys, waveforms, num_samples, tokens, token_lens, self.failed)


class SpeechDataset(Dataset[Batch]):
    """Reads a whole micro-batch at a time.

    Args:
        utterances: the manifest.
        tokens: unit ids of each utterance's transcript.
        sample_rate: Hz of the waveforms that come out.
    """

    def __init__(self, utterances: Sequence[Utterance], tokens: Sequence[Sequence[int]], sample_rate: int) -> None:
        self.utterances = utterances
        self.tokens = tokens
        self.sample_rate = sample_rate

    def __getitem__(self, micro_batch: MicroBatch) -> Batch:
        """Read, change speed and pad; what cannot be read is left out and named."""
        keys: list[str] = []
        waveforms: list[np.ndarray] = []
        tokens: list[Sequence[int]] = []
        failed: dict[str, str] = {}
        for index, speed in zip(micro_batch.indices, micro_batch.speeds):
            utterance = self.utterances[index]
            try:
                samples = self._waveform(utterance, float(speed))
            except AudioError as error:
                failed[utterance.key] = str(error)
                continue
            keys.append(utterance.key)
            waveforms.append(samples)
            tokens.append(self.tokens[index])
        return Batch(keys, *_pad(waveforms, 0.0, torch.float32), *_pad(tokens, TOKEN_PAD, torch.long), failed)

    def _waveform(self, utterance: Utterance, speed: float) -> np.ndarray:
        samples, rate = read_audio(utterance.wav, utterance.start, utterance.end)
        samples = resample(samples, rate, self.sample_rate)
        return samples if speed == 1.0 else change_speed(samples, self.sample_rate, speed)


def load(
    dataset: SpeechDataset, micro_batches: Iterable[MicroBatch], num_workers: int, pin_memory: bool = False
) -> Iterable[Batch]:
    """Batches of `micro_batches`, in their order, read ahead by `num_workers` processes (0: by this one)."""
    return DataLoader(
        dataset,
        sampler=list(micro_batches),
        batch_size=None,
        num_workers=num_workers,
        prefetch_factor=4 if num_workers else None,
        pin_memory=pin_memory,
    )


def _pad(rows: Sequence[np.ndarray | Sequence[int]], value: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    lens = torch.tensor([len(row) for row in rows], dtype=torch.long)
    padded = torch.full((len(rows), int(lens.max()) if len(rows) else 0), value, dtype=dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = torch.as_tensor(row, dtype=dtype)
    return padded, lens
