"""The device of this process, and the way to it from the host's memory, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor

from wenet_lite.errors import ConfigError


def choose_device(name: str | None, local_rank: int) -> torch.device:
    """The CPU, or the GPU of this process.

    Args:
        name: `cpu` or `cuda`; None for a GPU where there is one.
        local_rank: index among the processes of this host.
    Raises:
        ConfigError: if there is no such GPU.
    """
    if name == "cpu" or (name is None and not torch.cuda.is_available()):
        return torch.device("cpu")
    gpus = torch.cuda.device_count()
    if gpus == 0:
        raise ConfigError("torch finds no GPU", cure="give --device cpu; wenet-lite doctor tells which torch this is")
    if local_rank >= gpus:
        raise ConfigError(
            f"process {local_rank} of this host has no GPU: there are {gpus}",
            cure="start one process a GPU, or give --device cpu",
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A host's tensor on `device`; what was queued there before is not waited for.

    A GPU fetches by itself only from page-locked memory, so what is not yet there is copied to it first.
    """
    if device.type == "cuda" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
