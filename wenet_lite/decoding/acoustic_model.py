"""What decoding asks of a model: the PyTorch model meets it, and so do the exported forms of it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.model_config import ModelConfig


class FrontEnd(Protocol):
    """The subsampling under the encoder.

    Attributes:
        rate: feature frames an encoder frame.
        right_context: feature frames that an encoder frame sees after its first.
    """

    rate: int
    right_context: int


class AcousticEncoder(Protocol):
    """An encoder of whole utterances and of streams, as `wenet_lite.model.encoder.Encoder`.

    Attributes:
        dim: of its output.
        input_dim: feature bins.
    """

    dim: int
    input_dim: int

    @property
    def embed(self) -> FrontEnd:
        """Its front end."""

    def __call__(
        self, features: Tensor, lens: Tensor, chunk_size: int = -1, num_left_chunks: int = -1
    ) -> tuple[Tensor, Tensor]:
        """Encode (batch, frames, bins) utterances with (batch,) valid frames, see `Encoder.forward`."""

    def empty_cache(self, batch_size: int, cache_frames: int, like: Tensor) -> EncoderCache:
        """The state of streams that have heard nothing, see `Encoder.empty_cache`."""

    def forward_chunk(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, EncoderCache]:
        """Encode the next chunk of each stream, see `Encoder.forward_chunk`."""


class TreeDecoder(Protocol):
    """An attention decoder that reads prefix trees."""

    def tree_logits(
        self, memory: Tensor, memory_lens: Tensor, tokens: Tensor, positions: Tensor, visible: Tensor
    ) -> Tensor:
        """Logits of what follows each node of a tree.

        Args:
            memory: (batch, frames, dim) encoder output.
            memory_lens: (batch,) valid frames.
            tokens: (batch, nodes) of the trees, padded.
            positions: (batch, nodes) their distance from the root.
            visible: (batch, nodes, nodes) whether the node of a row looks at that of a column.
        Returns:
            (batch, nodes, vocab).
        """


class AcousticModel(Protocol):
    """An encoder, CTC over it, and decoders that score what CTC has found.

    Attributes:
        config: what it was built from.
        blank_id, sos_id, eos_id: special tokens.
    """

    config: ModelConfig
    blank_id: int
    sos_id: int
    eos_id: int

    @property
    def encoder(self) -> AcousticEncoder:
        """The encoder."""

    @property
    def left_decoder(self) -> TreeDecoder:
        """The decoder that reads left to right."""

    @property
    def right_decoder(self) -> TreeDecoder | None:
        """The decoder that reads right to left, if there is one."""

    def ctc_log_probs(self, encoder_out: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors."""
