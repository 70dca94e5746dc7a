"""Batch norm's running statistics, which must not depend on how many ranks share an update, nor move when frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wenet_lite.distributed import World, sum_over_ranks


def set_training_mode(model: nn.Module) -> None:
    """`model.train()`, but a batch norm whose parameters are frozen goes on using and keeping its statistics."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d) and _is_frozen(module):
            module.eval()


class BatchNorms:
    """Moves the running statistics of a model once an update, by the mean of what its micro-batches would do.

    Each micro-batch starts from the statistics that the update began with, so the order and the rank of a micro-batch
    do not matter. An update that is skipped leaves them alone, and so do all updates those of a norm that is frozen.

    Args:
        model: with any number of batch norms, also none.
        micro_batches_per_update: of all ranks together.
    """

    def __init__(self, model: nn.Module, micro_batches_per_update: int) -> None:
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d) and not _is_frozen(module)]
        found = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
        self._running = [buffer for buffer in found if buffer is not None]
        self._counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        self._micro_batches = micro_batches_per_update
        self._before: list[Tensor] = []
        self._sums: list[Tensor] = []
        self._counted: list[Tensor] = []

    @torch.no_grad()
    def begin(self) -> None:
        """An update begins."""
        self._before = [buffer.clone() for buffer in self._running]
        self._counted = [count.clone() for count in self._counts]
        self._sums = [torch.zeros_like(buffer) for buffer in self._running]

    @torch.no_grad()
    def collect(self) -> None:
        """A micro-batch of this rank is done, or was empty."""
        for total, buffer, before in zip(self._sums, self._running, self._before):
            total += buffer
            buffer.copy_(before)

    @torch.no_grad()
    def end(self, world: World, skipped: Tensor) -> None:
        """All micro-batches of this rank are done; `skipped` is whether the update does not count, a scalar."""
        if world.size > 1 and self._sums:
            sum_over_ranks(self._sums)
        for buffer, before, total in zip(self._running, self._before, self._sums):
            buffer.copy_(torch.where(skipped, before, total / self._micro_batches))
        for count, before in zip(self._counts, self._counted):
            count.copy_(torch.where(skipped, before, before + self._micro_batches))


def _is_frozen(norm: nn.BatchNorm1d) -> bool:
    return norm.affine and not any(parameter.requires_grad for parameter in norm.parameters())
