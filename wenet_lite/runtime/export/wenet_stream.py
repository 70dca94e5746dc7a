"""A stream through an encoder file of WeNet's or sherpa-onnx's kind, fed as their C++ feeds it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from wenet_lite.runtime.onnx_model import OnnxFile


class WenetStream:
    """One stream; inputs are given by their place, for the two runtimes name them differently.

    Args:
        file: of `WenetEncoder`, `WenetWholeHistoryEncoder`, or the same with CTC on top.
        chunk_size: encoder frames a chunk; 0 or less for all there is.
        num_left_chunks: chunks of history, -1 for all.
    """

    def __init__(self, file: OnnxFile, chunk_size: int, num_left_chunks: int) -> None:
        self._file, self._chunk_size = file, chunk_size
        self._room = max(num_left_chunks, 0) * chunk_size
        shapes = list(file.inputs.values())
        self._is_limited = len(shapes) == 6
        self._scalar = shapes[1]
        layers, heads, _, size = shapes[3 if self._is_limited else 2]
        _, _, dim, context = shapes[4 if self._is_limited else 3]
        self._attention = torch.zeros(int(layers), int(heads), self._room, int(size))
        self._convolution = torch.zeros(int(layers), 1, int(dim), int(context))
        self._frames = 0

    def encode(self, features: Tensor, rate: int, right_context: int) -> Iterator[Tensor]:
        """The first output of each chunk, (1, encoder_frames, ...).

        Args:
            features: (1, frames, bins) of the whole stream.
            rate: feature frames an encoder frame.
            right_context: feature frames that an encoder frame sees after its first.
        """
        size = self._chunk_size if self._chunk_size > 0 else features.shape[1]
        for start in range(0, features.shape[1] - right_context, rate * size):
            yield self._advance(features[:, start : start + rate * (size - 1) + right_context + 1])

    def _advance(self, chunk: Tensor) -> Tensor:
        offset = torch.full([int(size) for size in self._scalar], self._room + self._frames)
        if self._is_limited:
            mask = torch.ones(1, 1, self._room + self._chunk_size, dtype=torch.bool)
            mask[:, :, : max(self._room - self._frames, 0)] = False
            required = torch.full_like(offset, self._room)
            outputs = self._file(chunk, offset, required, self._attention, self._convolution, mask)
        else:
            outputs = self._file(chunk, offset, self._attention, self._convolution)
        out, self._attention, self._convolution = outputs
        self._frames += out.shape[1]
        return out
