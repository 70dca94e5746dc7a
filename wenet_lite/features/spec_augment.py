"""SpecAugment: masks in time and frequency (Park et al., 2019), over a batch on its device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SpecAugmentConfig:
    """Attributes:
    num_t_mask: time masks an utterance.
    num_f_mask: frequency masks an utterance.
    max_t: longest time mask, frames.
    max_f: widest frequency mask, mel bins.
    max_t_ratio: a time mask covers at most this part of its utterance.
    """

    num_t_mask: int = 2
    num_f_mask: int = 2
    max_t: int = 50
    max_f: int = 10
    max_t_ratio: float = 1.0


def spec_augment(
    features: Tensor, lens: Tensor, fill: Tensor, config: SpecAugmentConfig, generator: torch.Generator
) -> Tensor:
    """Mask random spans, each utterance its own.

    Args:
        features: (batch, frames, bins).
        lens: (batch,) valid frames.
        fill: (bins,) value of a masked cell: the corpus mean, which CMVN turns into 0.
        config: number and size of the masks.
        generator: a CPU generator; the masks do not depend on the device.
    Returns:
        (batch, frames, bins), a new tensor.
    """
    batch, frames, bins = features.shape
    limits = (lens.cpu() * config.max_t_ratio).clamp(max=config.max_t)
    in_time = _spans(lens.cpu(), limits, config.num_t_mask, frames, generator)
    widths = torch.full((batch,), bins)
    in_frequency = _spans(widths, widths.clamp(max=config.max_f), config.num_f_mask, bins, generator)
    masked = in_time.unsqueeze(2) | in_frequency.unsqueeze(1)
    return torch.where(masked.to(features.device), fill, features)


def _spans(sizes: Tensor, limits: Tensor, count: int, extent: int, generator: torch.Generator) -> Tensor:
    """(batch, extent) true on `count` random spans of up to `limits` cells inside the first `sizes`."""
    draws = torch.rand(2, len(sizes), count, generator=generator)
    starts = (draws[0] * sizes.unsqueeze(1)).long()
    ends = starts + 1 + (draws[1] * limits.unsqueeze(1)).long()
    cells = torch.arange(extent).view(1, 1, -1)
    return ((cells >= starts.unsqueeze(2)) & (cells < ends.unsqueeze(2))).any(dim=1)
