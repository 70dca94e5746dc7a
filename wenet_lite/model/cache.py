"""The state of a batch of streams between two chunks."""

# No `from __future__ import annotations` here: TorchScript cannot read a NamedTuple's annotations as text.
from typing import NamedTuple

import torch
from torch import Tensor


class EncoderCache(NamedTuple):
    """What the encoder remembers of each stream; valid frames lie at the right end.

    Attributes:
        attention: (layers, batch, heads, cache_frames, 2 * d_k) keys, then values.
        convolution: (layers, batch, dim, kernel - 1) last inputs of each convolution module;
            (layers, batch, dim, 0) for an encoder without causal convolution.
        lens: (batch,) valid frames of `attention`.
        offset: (batch,) encoder frames put out so far.
    """

    attention: Tensor
    convolution: Tensor
    lens: Tensor
    offset: Tensor


def last_frames(frames: Tensor, padding: Tensor | None, count: int) -> Tensor:
    """Take the last `count` frames of each row of a batch.

    Args:
        frames: (batch, heads, time, features).
        padding: (batch,) frames at the end that do not count; none where it is None.
        count: frames to take; there are as many before the padding.
    Returns:
        (batch, heads, count, features).
    """
    first = frames.shape[2] - count
    if padding is None:
        return frames[:, :, first:]
    positions = first - padding.unsqueeze(1) + torch.arange(count, device=frames.device)
    index = positions.view(frames.shape[0], 1, count, 1).expand(-1, frames.shape[1], -1, frames.shape[3])
    return frames.gather(2, index)
