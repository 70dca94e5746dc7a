"""Masks over padded batches and chunks; true where attention may look."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FULL_CONTEXT = -1
"""As a chunk size: the whole utterance. As a number of left chunks: all of the past."""

MAX_TRAINING_CHUNK = 25
"""Largest chunk drawn in training, encoder frames: one second at 4x subsampling (WeNet)."""

MAX_TRAINING_LEFT_CHUNKS = 8
"""Longest history drawn in training, chunks, where it is limited."""


def padding_mask(lens: Tensor, max_len: int) -> Tensor:
    """(batch, max_len), true on the first `lens` (batch,) positions."""
    return torch.arange(max_len, device=lens.device).unsqueeze(0) < lens.unsqueeze(1)


def chunk_mask(size: int, chunk_size: int, num_left_chunks: int, device: torch.device) -> Tensor:
    """(size, size) mask where a frame sees its own chunk and `num_left_chunks` chunks before it.

    Args:
        size: frames.
        chunk_size: frames a chunk, or FULL_CONTEXT.
        num_left_chunks: chunks of history, or FULL_CONTEXT.
    """
    if chunk_size <= 0:
        return torch.ones(size, size, dtype=torch.bool, device=device)
    chunk = torch.arange(size, device=device) // chunk_size
    behind = chunk.unsqueeze(1) - chunk.unsqueeze(0)
    mask = behind >= 0
    if num_left_chunks >= 0:
        mask = mask & (behind <= num_left_chunks)
    return mask


def causal_mask(size: int, device: torch.device) -> Tensor:
    """(size, size) mask where a position sees itself and what precedes it."""
    positions = torch.arange(size, device=device)  # not tril: onnxruntime 1.13 has none of bools
    return positions.unsqueeze(0) <= positions.unsqueeze(1)


@dataclass(frozen=True)
class TrainingChunk:
    """The attention context of one training update.

    Attributes:
        size: encoder frames a chunk, or FULL_CONTEXT.
        num_left_chunks: chunks of history, or FULL_CONTEXT.
    """

    size: int = FULL_CONTEXT
    num_left_chunks: int = FULL_CONTEXT


def draw_training_chunk(seed: int, update: int, *, dynamic_left: bool) -> TrainingChunk:
    """Draw the context of an update: the whole utterance half of the time, else chunks (U2, section 3.2).

    Chunks have 1 to MAX_TRAINING_CHUNK frames, each number as likely as another. The draw depends on the seed and the
    update alone, so all ranks and a resumed run agree on it.

    Args:
        seed: the experiment's seed.
        update: number of the update, from 0.
        dynamic_left: also limit the history, to 0 to MAX_TRAINING_LEFT_CHUNKS chunks; else all of the past is seen.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + update)
    if torch.rand((), generator=generator).item() < 0.5:
        return TrainingChunk()
    size = int(torch.randint(1, MAX_TRAINING_CHUNK + 1, (), generator=generator))
    if not dynamic_left:
        return TrainingChunk(size)
    return TrainingChunk(size, int(torch.randint(0, MAX_TRAINING_LEFT_CHUNKS + 1, (), generator=generator)))
