"""The precision of a model's products of matrices."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from wenet_lite.decoding.recognition_options import Precision
from wenet_lite.errors import ConfigError


def require_precision(precision: str, device: torch.device) -> None:
    """Make sure that a device has a precision.

    Raises:
        ConfigError: if it does not.
    """
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(f"{torch.cuda.get_device_name(device)} has no bfloat16", cure="take float16 or float32")


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Products of matrices in the block have this precision."""
    if precision == "float32" and not torch.is_autocast_enabled(device.type):
        return nullcontext()
    dtype: torch.dtype = getattr(torch, precision)
    return torch.autocast(device.type, dtype)
