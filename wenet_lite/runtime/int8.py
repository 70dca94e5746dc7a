"""Dynamic int8 on a CPU: weights of linear layers in 8 bits, their inputs quantised as they come."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wenet_lite.model.convolution import PointwiseConv1d
from wenet_lite.model.mixture import MixtureOfExperts

_LARGEST = 127


def has_vnni() -> bool:
    """Whether this processor multiplies 8 by 8 bits and adds up in 32: without that, sums of four overflow 16 bits."""
    return torch.cpu._is_vnni_supported() and torch.backends.quantized.engine in ("x86", "onednn")


def quantize(module: nn.Module, *, reduce_range: bool = True) -> None:
    """Replace the linear layers and point-wise convolutions inside a module, in place.

    The gates of experts stay: a frame that went to another expert would be another frame. What is quantised has no
    parameters, and stays on the CPU.

    Args:
        module: in eval mode, float32, on the CPU.
        reduce_range: give inputs 7 bits, for a model that runs on any processor; else 8, where `has_vnni`.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Linear) and not (isinstance(module, MixtureOfExperts) and name == "gate"):
            setattr(module, name, QuantizedLinear(child.weight, child.bias, reduce_range))
        elif isinstance(child, PointwiseConv1d):
            setattr(module, name, QuantizedLinear(child.weight.squeeze(2), child.bias, reduce_range))
        else:
            quantize(child, reduce_range=reduce_range)


class QuantizedLinear(nn.Module):
    """A linear layer, each row of its weight with a scale of its own.

    Args:
        weight: (out, in).
        bias: (out,), or None.
        reduce_range: see `quantize`.
    """

    @torch.no_grad()
    def __init__(self, weight: Tensor, bias: Tensor | None, reduce_range: bool) -> None:
        super().__init__()
        scales = (weight.abs().amax(dim=1).double() / _LARGEST).clamp(min=1e-12)
        zeros = torch.zeros(len(weight), dtype=torch.long)
        rows = torch.quantize_per_channel(weight.detach(), scales, zeros, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(rows, bias)
        self.reduce_range = reduce_range

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out), float32."""
        return torch.ops.quantized.linear_dynamic(x, self.packed, reduce_range=self.reduce_range)
