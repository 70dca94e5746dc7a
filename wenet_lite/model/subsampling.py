"""Convolutional front ends: several feature frames become one encoder frame."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

SubsamplingType = Literal["conv2d", "conv2d6", "conv2d8", "dwconv2d4"]

_SHAPES: dict[str, tuple[tuple[int, int], ...]] = {
    "conv2d": ((3, 2), (3, 2)),
    "conv2d6": ((3, 2), (5, 3)),
    "conv2d8": ((3, 2), (3, 2), (3, 2)),
    "dwconv2d4": ((3, 2), (3, 2)),
}
"""Kernel size and stride of each unpadded convolution, in time and frequency alike."""


def subsampling_rate(kind: SubsamplingType) -> int:
    """Feature frames from one encoder frame to the next."""
    rate = 1
    for _, stride in _SHAPES[kind]:
        rate *= stride
    return rate


def right_context(kind: SubsamplingType) -> int:
    """Feature frames that an encoder frame sees after its first one."""
    context, rate = 0, 1
    for kernel, stride in _SHAPES[kind]:
        context += (kernel - 1) * rate
        rate *= stride
    return context


def subsampled_length(num_frames: int, kind: SubsamplingType) -> int:
    """Encoder frames that `num_frames` feature frames give."""
    for kernel, stride in _SHAPES[kind]:
        num_frames = max((num_frames - kernel) // stride + 1, 0)
    return num_frames


def required_frames(encoder_frames: int, kind: SubsamplingType) -> int:
    """Fewest feature frames that give `encoder_frames` encoder frames: the inverse of `subsampled_length`."""
    if encoder_frames == 0:
        return 0
    return (encoder_frames - 1) * subsampling_rate(kind) + right_context(kind) + 1


class Conv2dSubsampling(nn.Module):
    """Unpadded convolutions with ReLU, then a linear layer; parameter names as in WeNet.

    Args:
        kind: `conv2d` makes one frame of four, `conv2d6` of six, `conv2d8` of eight; `dwconv2d4` of four with a
            depth-wise separable second convolution, which has a ninth of the work of `conv2d`'s.
        input_dim: feature bins.
        output_dim: size of an encoder frame.
        channels: channels of the convolutions (WeNet: `output_dim`).
    """

    def __init__(self, kind: SubsamplingType, input_dim: int, output_dim: int, channels: int) -> None:
        super().__init__()
        self.rate, self.right_context = subsampling_rate(kind), right_context(kind)
        self.kernels = [kernel for kernel, _ in _SHAPES[kind]]
        self.strides = [stride for _, stride in _SHAPES[kind]]
        layers: list[nn.Module] = []
        for i, (kernel, stride) in enumerate(_SHAPES[kind]):
            if i and kind == "dwconv2d4":
                layers += [
                    nn.Conv2d(channels, channels, kernel, stride, groups=channels),
                    nn.Conv2d(channels, channels, 1),
                ]
            else:
                layers.append(nn.Conv2d(channels if i else 1, channels, kernel, stride))
            layers.append(nn.ReLU(inplace=True))
        self.conv = nn.Sequential(*layers)
        linear = nn.Linear(channels * subsampled_length(input_dim, kind), output_dim)
        # WeNet calls the last layer `out.0` at a rate of four and `linear` at others.
        self.out = nn.Sequential(linear) if self.rate == 4 else nn.Sequential()
        self.linear = nn.Identity() if self.rate == 4 else linear

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Subsample.

        Args:
            features: (batch, frames, input_dim).
            lens: (batch,) valid frames.
        Returns:
            (batch, encoder_frames, output_dim) and (batch,) valid encoder frames; none where there are no more
            feature frames than `right_context`.
        """
        missing = self.right_context + 1 - features.shape[1]
        if missing > 0:
            features = nn.functional.pad(features, (0, 0, 0, missing))
        maps = self.conv(features.unsqueeze(1))
        batch, channels, frames, bins = maps.shape
        out_lens = lens
        for kernel, stride in zip(self.kernels, self.strides):
            out_lens = torch.clamp(torch.div(out_lens - kernel, stride, rounding_mode="floor") + 1, min=0)
        return self.linear(self.out(maps.transpose(1, 2).reshape(batch, frames, channels * bins))), out_lens
