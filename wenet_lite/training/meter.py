"""Means of what a run logs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from wenet_lite.distributed import World
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.model.asr_model import Losses

EXPERT = "expert_layer"
"""Beginning of the names of metrics that tell how much an expert is used: `expert_layer<layer>_<expert>`."""


class Meter:
    """Sums what is logged on the device, so that nothing waits for it before log time.

    Args:
        device: where the losses are.
        loss_parts: names of the losses besides the total.
        expert_layers: encoder layers that have experts.
        num_experts: of each of them.
    Attributes:
        last_step: values of the newest update, reported as they are.
    """

    def __init__(
        self, device: torch.device, loss_parts: Sequence[str], expert_layers: Sequence[int], num_experts: int
    ) -> None:
        self._device, self._loss_parts = device, loss_parts
        self._expert_layers, self._num_experts = expert_layers, num_experts
        self.last_step: dict[str, float] = {}
        self._reset()

    def _reset(self) -> None:
        names = ("loss", *self._loss_parts, "samples", "utterances")
        self._sums = {name: torch.zeros((), dtype=torch.float64, device=self._device) for name in names}
        shape = len(self._expert_layers), self._num_experts
        self._expert_counts = torch.zeros(shape, dtype=torch.float64, device=self._device)
        self._started = time.monotonic()

    def add(self, losses: Losses, num_samples: Tensor) -> None:
        """Count a micro-batch: its losses, and the (batch,) samples of each utterance."""
        utterances = torch.ones_like(losses.total)
        values = {"loss": losses.total, **losses.parts, "samples": num_samples, "utterances": utterances}
        for name, value in values.items():
            self._sums[name] += value.detach().double().sum()
        if losses.expert_counts is not None:
            self._expert_counts += losses.expert_counts

    def read(self, world: World) -> dict[str, float]:
        """Means over utterances since the last reading, over all ranks; starts anew.

        How much an expert is used is the part of its layer's frames that it was given.
        """
        sums = torch.cat([torch.stack(list(self._sums.values())), self._expert_counts.flatten()])
        if world.size > 1:
            dist.all_reduce(sums)
        totals = dict(zip(self._sums, sums.tolist()))
        utterances, samples = max(totals.pop("utterances"), 1.0), totals.pop("samples")
        metrics = {name: value / utterances for name, value in totals.items()}
        counts = sums[len(self._sums) :].view_as(self._expert_counts)
        shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1.0)
        for layer, row in zip(self._expert_layers, shares.tolist()):
            metrics.update({f"{EXPERT}{layer}_{expert}": share for expert, share in enumerate(row)})
        audio_seconds = samples / SAMPLE_RATE
        metrics["times_real_time"] = audio_seconds / (time.monotonic() - self._started)
        self._reset()
        return {**metrics, **self.last_step}
