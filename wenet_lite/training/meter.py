"""Means of what a run logs."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from wenet_lite.data.dataset import Batch
from wenet_lite.distributed import World, sum_over_ranks
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.model.asr_model import AsrModel, Losses
from wenet_lite.training.metrics import EXPERT


class Meter:
    """Sums what is logged on the device, so that nothing waits for it before log time.

    Args:
        device: where the losses are.
        loss_parts: names of the losses besides the total.
        expert_layers: encoder layers that have experts.
        num_experts: of each of them.
    """

    def __init__(
        self, device: torch.device, loss_parts: Sequence[str], expert_layers: Sequence[int], num_experts: int
    ) -> None:
        self._device, self._loss_parts = device, loss_parts
        self._expert_layers, self._num_experts = expert_layers, num_experts
        self._rate = 0.0
        self._norm = torch.zeros((), device=device)
        self._started: float | None = None
        self._reset()

    @classmethod
    def of_model(cls, model: AsrModel, device: torch.device) -> Meter:
        """A meter of all that this model's losses tell."""
        parts = [*model.loss_parts, *(["cr_ctc"] if model.config.cr_ctc_weight else [])]
        encoder = model.config.encoder
        return cls(device, parts, encoder.layers_with_experts, encoder.moe.num_experts if encoder.moe else 0)

    def _reset(self) -> None:
        names = ("loss", *self._loss_parts, "samples", "utterances")
        self._sums = {name: torch.zeros((), dtype=torch.float64, device=self._device) for name in names}
        shape = len(self._expert_layers), self._num_experts
        self._expert_counts = torch.zeros(shape, dtype=torch.float64, device=self._device)
        self._seconds = self._waited = 0.0

    def start(self) -> None:
        """Training goes on: the clock runs."""
        self._started = time.monotonic()

    def stop(self) -> None:
        """Something else is done than training."""
        assert self._started is not None
        self._seconds += time.monotonic() - self._started
        self._started = None

    def wait_for(self, batches: Iterator[Batch]) -> Batch:
        """The next batch; the time that passes until it is there counts as waiting for data."""
        began = time.monotonic()
        batch = next(batches)
        self._waited += time.monotonic() - began
        return batch

    def add(self, losses: Losses, num_samples: Tensor) -> None:
        """Count a micro-batch: its losses, those that are not finite left out, and the (batch,) samples of each."""
        finite = torch.isfinite(losses.total.detach())
        for name, value in {"loss": losses.total, **losses.parts}.items():
            self._sums[name] += torch.where(finite, value.detach().double(), 0.0).sum()
        self._sums["utterances"] += finite.sum()
        self._sums["samples"] += num_samples.sum()
        if losses.expert_counts is not None:
            self._expert_counts += losses.expert_counts

    def stepped(self, rate: float, norm: Tensor) -> None:
        """Learning rate of an update, and the norm of its gradient, a scalar on the device."""
        self._rate, self._norm = rate, norm

    def read(self, world: World) -> dict[str, float]:
        """Means over utterances since the last reading, over all ranks; starts anew.

        How much an expert is used is the part of its layer's frames that it was given. `data_wait` is the part of the
        time that a rank waited for data, on average.
        """
        self.stop()
        waited = torch.tensor([self._waited], dtype=torch.float64, device=self._device)
        sums = torch.cat([torch.stack(list(self._sums.values())), waited, self._expert_counts.flatten()])
        if world.size > 1:
            sum_over_ranks([sums])
        totals = dict(zip((*self._sums, "waited"), sums.tolist()))
        utterances, samples, waited_s = (totals.pop(name) for name in ("utterances", "samples", "waited"))
        metrics = {name: value / utterances if utterances else math.nan for name, value in totals.items()}
        counts = sums[len(self._sums) + 1 :].view_as(self._expert_counts)
        shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1.0)
        for layer, row in zip(self._expert_layers, shares.tolist()):
            metrics.update({f"{EXPERT}{layer}_{expert}": share for expert, share in enumerate(row)})
        metrics["times_real_time"] = samples / SAMPLE_RATE / self._seconds
        metrics["data_wait"] = waited_s / world.size / self._seconds
        metrics["memory_mb"] = peak_memory_mb(self._device)
        metrics.update(learning_rate=self._rate, grad_norm=float(self._norm))
        self._reset()
        self.start()
        return metrics


def peak_memory_mb(device: torch.device) -> float:
    """Most memory that this process has had so far, MB: of the GPU if it computes there, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
