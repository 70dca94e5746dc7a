"""What recognition of a list is asked for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from wenet_lite.decoding.options import DecodingMode, DecodingOptions
from wenet_lite.decoding.words import WordTiming
from wenet_lite.errors import DataError

Precision = Literal["float32", "bfloat16", "float16"]
_SHORTEST_SEGMENT_S = 8.0


@dataclass(frozen=True)
class RecognitionOptions:
    """Attributes:
    modes: searches to run.
    decoding: their options.
    lm: whether a language model is fused in.
    hotwords: whether there are hotwords.
    chunk_size: encoder frames a chunk, -1 for whole utterances.
    num_left_chunks: chunks of history, -1 for all.
    streaming: encode chunk by chunk through caches, as a stream, not by masks.
    dtype: floating type of the products of matrices.
    max_segment_seconds: longer utterances are recognised in segments. The default is the longest that training takes
        unless told otherwise (`BatchConfig.max_frames_per_utterance`).
    max_frames: padded feature frames a batch holds at most.
    words: whether the best hypotheses are aligned.
    timing: how words lie around CTC's peaks.
    """

    modes: tuple[DecodingMode, ...]
    decoding: DecodingOptions
    lm: bool = False
    hotwords: bool = False
    chunk_size: int = -1
    num_left_chunks: int = -1
    streaming: bool = False
    dtype: Precision = "float32"
    max_segment_seconds: float = 40.0
    max_frames: int = 12000
    words: bool = False
    timing: WordTiming = field(default_factory=WordTiming)

    def __post_init__(self) -> None:
        if self.streaming and self.chunk_size < 1:
            raise ValueError("streaming needs a chunk_size")
        if self.max_frames < 1:
            raise ValueError("max_frames must be at least 1")
        if self.max_segment_seconds < _SHORTEST_SEGMENT_S:
            raise ValueError(f"max_segment_seconds must be at least {_SHORTEST_SEGMENT_S:g}")

    @property
    def suffix(self) -> str:
        """What distinguishes results of one mode: `[_chunk<C>_left<L>][_stream][_lm][_hotwords]`."""
        chunks = "" if self.chunk_size < 0 else f"_chunk{self.chunk_size}_left{self.num_left_chunks}"
        return chunks + "_stream" * self.streaming + "_lm" * self.lm + "_hotwords" * self.hotwords

    def folder(self, mode: DecodingMode) -> str:
        """Name of the folder with the results of `mode`."""
        return mode + self.suffix

    def fingerprint(self, device: str, files: Iterable[str | os.PathLike[str]]) -> str:
        """A hash that two commands share if they give the same results.

        Args:
            device: type of the device that computes.
            files: whose contents count: checkpoint, configuration, units, lists.
        Raises:
            DataError: if a file cannot be read.
        """
        digest = hashlib.sha256(json.dumps([asdict(self), device], default=str).encode())
        for path in files:
            try:
                with open(path, "rb") as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", path=path) from error
        return digest.hexdigest()
