"""Which process this is, and how many there are (torch.distributed under torchrun, or alone)."""

from __future__ import annotations

import logging
import os
import socket
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from wenet_lite.errors import ConfigError, DistributedError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
TIMEOUT_VARIABLE = "WENET_LITE_TIMEOUT_S"
EXIT_RESUMABLE = os.EX_TEMPFAIL
"""Exit status of a run that was asked to stop and can go on: 75, as in sysexits.h."""


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
def process_group(device: torch.device) -> Iterator[World]:
    """Join the process group for the time of the block (nothing to join when alone).

    No wait for another process is longer than WENET_LITE_TIMEOUT_S seconds (600; `launch --timeout` sets it). Then
    gloo's is a `DistributedError`; NCCL's watchdog ends the process, with a message that names rank and collective.

    Args:
        device: where the collectives' tensors live: NCCL on CUDA, gloo elsewhere.
    Raises:
        DistributedError: if the others cannot be reached in time.
        ConfigError: if WENET_LITE_TIMEOUT_S is not a number of seconds.
    """
    import torch.distributed as dist

    world = World.from_environment()
    if world.size == 1:
        yield world
        return
    timeout = collective_timeout()
    with waiting_for_others():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    try:
        yield world
        with waiting_for_others():
            dist.barrier()  # leave together: one that is done early must not close its connections under the others
    finally:
        dist.destroy_process_group()


def sum_over_ranks(tensors: Sequence[torch.Tensor]) -> None:
    """Replace each tensor by its sum over all ranks; they travel as one flat tensor.

    Raises:
        DistributedError: if a rank is lost.
    """
    import torch
    import torch.distributed as dist

    flat = torch.cat([tensor.flatten() for tensor in tensors])
    with waiting_for_others():
        dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(part.view_as(tensor))


def gather_objects(mine: T, world: World) -> list[T]:
    """What each rank has, on every rank, in the order of ranks.

    Raises:
        DistributedError: if a rank is lost.
    """
    import torch.distributed as dist

    if world.size == 1:
        return [mine]
    everyone: list[T | None] = [None] * world.size
    with waiting_for_others():
        dist.all_gather_object(everyone, mine)
    return typing.cast("list[T]", everyone)


def leave(status: int, world: World) -> int:
    """End this process with `status` where it has others beside it, when all work is done; else return it.

    Threads of gloo can abort the shutdown of the interpreter, so that is left out.
    """
    if world.size > 1:
        logging.shutdown()
        os._exit(status)
    return status


def collective_timeout() -> timedelta:
    """The longest wait for another process.

    Raises:
        ConfigError: if WENET_LITE_TIMEOUT_S is not a number of seconds.
    """
    value = os.environ.get(TIMEOUT_VARIABLE, "600")
    if not value.isdecimal() or int(value) == 0:
        raise ConfigError(f"{TIMEOUT_VARIABLE}={value} is not a number of seconds", cure="such as 600")
    return timedelta(seconds=int(value))


@contextmanager
def waiting_for_others() -> Iterator[None]:
    """Tell a lost peer or a time-out in one line; gloo raises bare RuntimeErrors that name a file of its own."""
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, DistError) and "gloo" not in str(error):
            raise
        world = World.from_environment()
        reason = str(error).partition("\n")[0]
        raise DistributedError(
            f"rank {world.rank} of {world.size}, on {socket.gethostname()}, lost the others: {reason}",
            cure="look for the rank that ended first and why; if none did, at the network: docs/cluster.md",
        ) from error
