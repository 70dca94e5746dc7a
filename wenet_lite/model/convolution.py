"""The Conformer's convolution module (Gulati et al., 2020, section 2.2), causal or centred."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from wenet_lite.model.input_check import check_batch_norm


class PointwiseConv1d(nn.Conv1d):
    """A linear layer whose weight has the shape of a convolution over one frame, as WeNet's has.

    Args:
        in_channels, out_channels: sizes.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) to (batch, time, out_channels)."""
        return nn.functional.linear(x, self.weight.squeeze(2), self.bias)


class DepthwiseConv1d(nn.Conv1d):
    """A convolution over time of each channel by itself.

    Args:
        channels: channels.
        kernel_size: frames.
        padding: zero frames before and after the input.
    """

    def __init__(self, channels: int, kernel_size: int, padding: int) -> None:
        super().__init__(channels, channels, kernel_size, padding=padding, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, channels) to the same."""
        return self._conv_forward(x.transpose(1, 2), self.weight, self.bias).transpose(1, 2)


class ConvolutionModule(nn.Module):
    """Pointwise convolution, GLU, depth-wise convolution, normalisation, activation, pointwise convolution.

    Padded frames are kept at zero at the depth-wise convolution of a centred module, so that they never
    reach a valid frame. A causal module is preceded by kernel - 1 zero frames *before* the first
    pointwise convolution, whose bias they therefore carry (as in WeNet).

    Args:
        dim: channels.
        kernel_size: frames of the depth-wise convolution; odd if centred.
        norm: normalisation after the depth-wise convolution.
        causal: look at the past only.
        activation: the non-linearity.
    """

    def __init__(
        self,
        dim: int,
        kernel_size: int,
        norm: Literal["batch_norm", "layer_norm"],
        causal: bool,
        activation: nn.Module,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.left_context = kernel_size - 1 if causal else 0
        self.pointwise_conv1 = PointwiseConv1d(dim, 2 * dim)
        padding = 0 if causal else (kernel_size - 1) // 2
        self.depthwise_conv = DepthwiseConv1d(dim, kernel_size, padding)
        self.use_layer_norm = norm == "layer_norm"
        self.norm = nn.LayerNorm(dim) if self.use_layer_norm else nn.BatchNorm1d(dim)
        self.activation = activation
        self.pointwise_conv2 = PointwiseConv1d(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve.

        Args:
            x: (batch, time, dim).
            mask: (batch, time), true on valid frames; None where all are.
            cache: (batch, dim, kernel - 1) inputs before `x`; (batch, dim, 0) if not causal.
        Returns:
            (batch, time, dim), zero on padded frames, and (batch, kernel - 1 + time, dim) inputs with those before
            them; (batch, time, dim) if not causal.
        """
        x = _silenced(x, mask)
        inputs = torch.cat([cache.transpose(1, 2), x], dim=1)
        x = nn.functional.glu(self.pointwise_conv1(inputs), dim=2)
        if not self.causal:
            x = _silenced(x, mask)
        x = self.activation(self._normalise(self.depthwise_conv(x), mask))
        return _silenced(self.pointwise_conv2(x), mask), inputs

    def _normalise(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.use_layer_norm:
            return self.norm(x)
        if not self.training:
            return self.norm(x.transpose(1, 2)).transpose(1, 2)
        # Statistics of a training batch are those of its valid frames only.
        frames = x.flatten(0, 1)
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        valid = mask.flatten().nonzero().squeeze(1)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            check_batch_norm(len(valid))
        return torch.zeros_like(frames).index_copy(0, valid, self.norm(frames[valid])).view_as(x)


def _silenced(x: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, time, dim), zero where (batch, time) is false."""
    return x if mask is None else x.masked_fill(~mask.unsqueeze(2), 0.0)
