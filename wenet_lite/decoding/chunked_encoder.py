"""Encoding chunk by chunk through caches, as a stream is."""

from __future__ import annotations

import torch
from torch import Tensor

from wenet_lite.decoding.acoustic_model import AcousticEncoder


class ChunkedEncoder:
    """A batch of streams that advance together.

    Args:
        encoder: of a model that streams.
        chunk_size: encoder frames a chunk.
        num_left_chunks: chunks of history, -1 for all.
        like: a tensor of the features' device and floating type, (batch, ..., bins).
    Attributes:
        window: feature frames that a chunk is made of.
        stride: feature frames from one chunk to the next.
    """

    def __init__(self, encoder: AcousticEncoder, chunk_size: int, num_left_chunks: int, like: Tensor) -> None:
        self._encoder, self._chunk_size, self._num_left_chunks = encoder, chunk_size, num_left_chunks
        self._cache = encoder.empty_cache(len(like), 0, like)
        self.stride = chunk_size * encoder.embed.rate
        self.window = self.stride - encoder.embed.rate + encoder.embed.right_context + 1

    def advance(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the next chunk.

        Args:
            features: (batch, window, bins), or fewer frames where all streams end.
            lens: (batch,) valid frames; a stream that has not enough for another encoder frame has ended.
        Returns:
            (batch, encoder_frames, dim) and (batch,) valid encoder frames.
        """
        lens = lens.where(lens > self._encoder.embed.right_context, 0)
        keep = self._num_left_chunks * self._chunk_size
        if self._num_left_chunks < 0:
            keep = self._cache.attention.shape[3] + self._chunk_size
        out, out_lens, self._cache = self._encoder.forward_chunk(features, lens, self._cache, keep)
        return out, out_lens


def encode_by_chunks(
    encoder: AcousticEncoder, features: Tensor, lens: Tensor, chunk_size: int, num_left_chunks: int
) -> tuple[Tensor, Tensor]:
    """What `encoder` gives with masks, by caches.

    Args:
        encoder: of a model that streams.
        features: (batch, frames, bins).
        lens: (batch,) valid frames, each enough for an encoder frame.
        chunk_size: encoder frames a chunk.
        num_left_chunks: chunks of history, -1 for all.
    Returns:
        (batch, encoder_frames, dim) and (batch,) valid encoder frames.
    """
    chunks = ChunkedEncoder(encoder, chunk_size, num_left_chunks, features)
    longest, outs, out_lens = int(lens.max()), [], torch.zeros_like(lens)
    for start in range(0, longest - encoder.embed.right_context, chunks.stride):
        left = (lens - start).clamp(0, chunks.window)
        out, lens_of_chunk = chunks.advance(features[:, start : min(start + chunks.window, longest)], left)
        outs.append(out)
        out_lens = out_lens + lens_of_chunk
    return torch.cat(outs, dim=1), out_lens
