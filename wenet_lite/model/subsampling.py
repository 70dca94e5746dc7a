"""Convolutional front end: four feature frames become one encoder frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SUBSAMPLING_RATE = 4
RIGHT_CONTEXT = 6
"""Feature frames that an encoder frame sees after its first one."""


def subsampled_length(num_frames: int) -> int:
    """Encoder frames that `num_frames` feature frames give: two convolutions of width 3 and stride 2."""
    return 0 if num_frames <= RIGHT_CONTEXT else ((num_frames - 1) // 2 - 1) // 2


class Conv2dSubsampling4(nn.Module):
    """Two unpadded 3 x 3 convolutions of stride 2 with ReLU, then a linear layer.

    Args:
        input_dim: feature bins.
        output_dim: size of an encoder frame.
        channels: channels of the convolutions (WeNet: `output_dim`).
    """

    def __init__(self, input_dim: int, output_dim: int, channels: int) -> None:
        super().__init__()
        self.min_frames = RIGHT_CONTEXT + 1
        self.conv = nn.Sequential(
            nn.Conv2d(1, channels, 3, 2), nn.ReLU(), nn.Conv2d(channels, channels, 3, 2), nn.ReLU()
        )
        self.out = nn.Sequential(nn.Linear(channels * (((input_dim - 1) // 2 - 1) // 2), output_dim))

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Subsample.

        Args:
            features: (batch, frames, input_dim).
            lens: (batch,) valid frames.
        Returns:
            (batch, encoder_frames, output_dim) and (batch,) valid encoder frames; none where
            there are fewer than seven feature frames.
        """
        missing = self.min_frames - features.shape[1]
        if missing > 0:
            features = nn.functional.pad(features, (0, 0, 0, missing))
        maps = self.conv(features.unsqueeze(1))
        batch, channels, frames, bins = maps.shape
        out_lens = torch.clamp(((lens - 1) // 2 - 1) // 2, min=0)
        return self.out(maps.transpose(1, 2).reshape(batch, frames, channels * bins)), out_lens
