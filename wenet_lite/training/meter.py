"""Means of what a run logs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from wenet_lite.distributed import World
from wenet_lite.features.fbank import SAMPLE_RATE


class Meter:
    """Sums what is logged on the device, so that nothing waits for it before log time.

    Args:
        device: where the losses are.
        loss_parts: names of the losses besides the total.
    Attributes:
        last_step: values of the newest update, reported as they are.
    """

    def __init__(self, device: torch.device, loss_parts: Sequence[str]) -> None:
        self._device, self._loss_parts = device, loss_parts
        self.last_step: dict[str, float] = {}
        self._reset()

    def _reset(self) -> None:
        names = ("loss", *self._loss_parts, "samples", "utterances")
        self._sums = {name: torch.zeros((), dtype=torch.float64, device=self._device) for name in names}
        self._started = time.monotonic()

    def add(self, total: Tensor, parts: dict[str, Tensor], num_samples: Tensor) -> None:
        """Count a micro-batch: losses and samples of each utterance, all (batch,)."""
        values = {"loss": total, **parts, "samples": num_samples, "utterances": torch.ones_like(total)}
        for name, value in values.items():
            self._sums[name] += value.detach().double().sum()

    def read(self, world: World) -> dict[str, float]:
        """Means over utterances since the last reading, over all ranks; starts anew."""
        sums = torch.stack(list(self._sums.values()))
        if world.size > 1:
            dist.all_reduce(sums)
        totals = dict(zip(self._sums, sums.tolist()))
        utterances, samples = max(totals.pop("utterances"), 1.0), totals.pop("samples")
        metrics = {name: value / utterances for name, value in totals.items()}
        audio_seconds = samples / SAMPLE_RATE
        metrics["times_real_time"] = audio_seconds / (time.monotonic() - self._started)
        self._reset()
        return {**metrics, **self.last_step}
