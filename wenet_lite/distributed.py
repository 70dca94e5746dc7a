"""Which process this is, and how many there are (torch.distributed under torchrun, or alone)."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among those that torchrun started.

    Attributes:
        rank: index of this process, 0 to size - 1.
        size: number of processes.
        local_rank: index among the processes of this host; chooses the GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> World:
        """Read RANK, WORLD_SIZE and LOCAL_RANK, which torchrun sets; alone where it did not."""
        environ = os.environ
        return cls(int(environ.get("RANK", 0)), int(environ.get("WORLD_SIZE", 1)), int(environ.get("LOCAL_RANK", 0)))

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs, checkpoints and results."""
        return self.rank == 0


@contextmanager
def process_group(device: torch.device, timeout_s: float = 600.0) -> Iterator[World]:
    """Join the process group for the time of the block (nothing to join when alone).

    Args:
        device: where the collectives' tensors live: NCCL on CUDA, gloo elsewhere.
        timeout_s: seconds after which a collective that a lost peer never joins is an error.
    """
    import torch.distributed as dist

    world = World.from_environment()
    if world.size == 1:
        yield world
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(seconds=timeout_s))
    try:
        yield world
        dist.barrier()  # leave together: a rank that is done early must not close its connections under the others
    finally:
        dist.destroy_process_group()


def sum_over_ranks(tensors: Sequence[torch.Tensor]) -> None:
    """Replace each tensor by its sum over all ranks; they travel as one flat tensor."""
    import torch
    import torch.distributed as dist

    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(part.view_as(tensor))


def gather_objects(mine: T, world: World) -> list[T]:
    """What each rank has, on every rank, in the order of ranks."""
    import torch.distributed as dist

    if world.size == 1:
        return [mine]
    everyone: list[T | None] = [None] * world.size
    dist.all_gather_object(everyone, mine)
    return typing.cast("list[T]", everyone)
