"""Augmentation of features on their device: SpecAugment, SpecSub, SpecTrim.

Each utterance brings its own random numbers, so nothing depends on the batch that it is in. What is masked or moved is
drawn by the host, from lengths that it knows: nobody waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wenet_lite.transfer import to_device


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

    def __post_init__(self) -> None:
        if min(self.num_t_mask, self.num_f_mask, self.max_t, self.max_f) < 0:
            raise ValueError("num_t_mask, num_f_mask, max_t and max_f must not be negative")
        if not 0 <= self.max_t_ratio <= 1:
            raise ValueError("max_t_ratio lies between 0 and 1")


@dataclass(frozen=True)
class SpecSubConfig:
    """Attributes:
    num_t_sub: spans an utterance that an earlier part of it is copied over.
    max_t: longest span, frames.
    """

    num_t_sub: int = 3
    max_t: int = 30

    def __post_init__(self) -> None:
        if min(self.num_t_sub, self.max_t) < 0:
            raise ValueError("num_t_sub and max_t must not be negative")


@dataclass(frozen=True)
class SpecTrimConfig:
    """Attributes:
    max_t: most frames that are cut off at the end.
    """

    max_t: int = 20

    def __post_init__(self) -> None:
        if self.max_t < 0:
            raise ValueError("max_t must not be negative")


def spec_augment(
    features: Tensor, lens: Tensor, fill: Tensor, config: SpecAugmentConfig, draws: Sequence[np.random.Generator]
) -> Tensor:
    """Mask random spans of time and frequency (Park et al., 2019).

    Args:
        features: (batch, frames, bins).
        lens: (batch,) valid frames, in the host's memory.
        fill: (bins,) value of a masked cell: the corpus mean, which CMVN turns into 0.
        config: number and size of the masks.
        draws: each utterance's random numbers.
    Returns:
        (batch, frames, bins), a new tensor.
    """
    _, frames, bins = features.shape
    longest = (lens * config.max_t_ratio).clamp(max=config.max_t)
    in_time = _spans(lens, longest, _uniform(draws, 2, config.num_t_mask), frames)
    widths = torch.full_like(lens, bins)
    in_frequency = _spans(widths, widths.clamp(max=config.max_f), _uniform(draws, 2, config.num_f_mask), bins)
    in_time, in_frequency = to_device(in_time, features.device), to_device(in_frequency, features.device)
    return torch.where(in_time.unsqueeze(2) | in_frequency.unsqueeze(1), fill, features)


def spec_sub(features: Tensor, lens: Tensor, config: SpecSubConfig, draws: Sequence[np.random.Generator]) -> Tensor:
    """Copy earlier frames over random spans (U2++, Wu et al., 2021).

    Args:
        features: (batch, frames, bins).
        lens: (batch,) valid frames, in the host's memory.
        config: number and size of the spans.
        draws: each utterance's random numbers.
    Returns:
        (batch, frames, bins), a new tensor.
    """
    valid = lens.unsqueeze(1)
    uniform = _uniform(draws, 3, config.num_t_sub)
    starts = (uniform[0] * valid).long()
    ends = torch.minimum(starts + 1 + (uniform[1] * config.max_t).long(), valid)
    distances = (uniform[2] * (starts + 1)).long()
    sources = torch.arange(features.shape[1]).repeat(len(features), 1)
    times = sources.clone()
    for start, end, distance in zip(starts.unbind(1), ends.unbind(1), distances.unbind(1)):
        inside = (times >= start.unsqueeze(1)) & (times < end.unsqueeze(1))
        sources = torch.where(inside, times - distance.unsqueeze(1), sources)
    index = to_device(sources, features.device).unsqueeze(2).expand_as(features)
    return features.gather(1, index)


def spec_trim(lens: Tensor, config: SpecTrimConfig, draws: Sequence[np.random.Generator]) -> Tensor:
    """Cut off the end of each utterance, unless that were half of it or more.

    Args:
        lens: (batch,) valid frames, in the host's memory.
        config: how much.
        draws: each utterance's random numbers.
    Returns:
        (batch,) valid frames that remain.
    """
    cut = 1 + (_uniform(draws, 1, 1)[0, :, 0] * config.max_t).long()
    return torch.where(2 * cut < lens, lens - cut, lens)


def _uniform(draws: Sequence[np.random.Generator], kinds: int, count: int) -> Tensor:
    """(kinds, batch, count) numbers in [0, 1), float32 below 1."""
    numbers = [random.random((kinds, count), dtype=np.float32) for random in draws]
    return torch.from_numpy(np.stack(numbers, axis=1)) if numbers else torch.zeros(kinds, 0, count)


def _spans(sizes: Tensor, limits: Tensor, uniform: Tensor, extent: int) -> Tensor:
    """(batch, extent) true on spans of up to `limits` cells that start inside the first `sizes`."""
    starts = (uniform[0] * sizes.unsqueeze(1)).long()
    ends = starts + 1 + (uniform[1] * limits.unsqueeze(1)).long()
    cells = torch.arange(extent).view(1, 1, -1)
    return ((cells >= starts.unsqueeze(2)) & (cells < ends.unsqueeze(2))).any(dim=1)
