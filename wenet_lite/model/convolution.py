"""The Conformer's convolution module (Gulati et al., 2020, section 2.2), causal or centred."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from wenet_lite.model.cache import last_frames
from wenet_lite.model.input_check import check_batch_norm


class ConvolutionModule(nn.Module):
    """Pointwise convolution, GLU, depth-wise convolution, normalisation, swish, pointwise convolution.

    Padded frames are kept at zero at the depth-wise convolution of a centred module, so that they never
    reach a valid frame. A causal module is preceded by kernel - 1 zero frames *before* the first
    pointwise convolution, whose bias they therefore carry (as in WeNet).

    Args:
        dim: channels.
        kernel_size: frames of the depth-wise convolution; odd if centred.
        norm: normalisation after the depth-wise convolution.
        causal: look at the past only.
    """

    def __init__(self, dim: int, kernel_size: int, norm: Literal["batch_norm", "layer_norm"], causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.left_context = kernel_size - 1 if causal else 0
        self.pointwise_conv1 = nn.Conv1d(dim, 2 * dim, 1)
        padding = 0 if causal else (kernel_size - 1) // 2
        self.depthwise_conv = nn.Conv1d(dim, dim, kernel_size, padding=padding, groups=dim)
        self.use_layer_norm = norm == "layer_norm"
        self.norm = nn.LayerNorm(dim) if self.use_layer_norm else nn.BatchNorm1d(dim)
        self.pointwise_conv2 = nn.Conv1d(dim, dim, 1)

    def forward(self, x: Tensor, mask: Tensor, lens: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve.

        Args:
            x: (batch, time, dim).
            mask: (batch, time), true on valid frames.
            lens: (batch,) valid frames.
            cache: (batch, dim, kernel - 1) inputs before `x`; (batch, dim, 0) if not causal.
        Returns:
            (batch, time, dim), zero on padded frames, and the next cache.
        """
        x = x.masked_fill(~mask.unsqueeze(2), 0.0)
        x = torch.cat([cache.transpose(1, 2), x], dim=1)
        next_cache = cache
        if self.causal:
            ends = lens + self.left_context
            next_cache = last_frames(x.unsqueeze(1), ends, self.left_context).squeeze(1).transpose(1, 2)
        x = nn.functional.linear(x, self.pointwise_conv1.weight.squeeze(2), self.pointwise_conv1.bias)
        x = nn.functional.glu(x, dim=2)
        if not self.causal:
            x = x.masked_fill(~mask.unsqueeze(2), 0.0)
        x = self.depthwise_conv(x.transpose(1, 2)).transpose(1, 2)
        x = nn.functional.silu(self._normalise(x, mask))
        x = nn.functional.linear(x, self.pointwise_conv2.weight.squeeze(2), self.pointwise_conv2.bias)
        return x.masked_fill(~mask.unsqueeze(2), 0.0), next_cache

    def _normalise(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.use_layer_norm or not self.training:
            return self.norm(x) if self.use_layer_norm else self.norm(x.transpose(1, 2)).transpose(1, 2)
        # Statistics of a training batch are those of its valid frames only.
        frames = x.flatten(0, 1)
        valid = mask.flatten().nonzero().squeeze(1)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            check_batch_norm(len(valid))
        return torch.zeros_like(frames).index_copy(0, valid, self.norm(frames[valid])).view_as(x)
