"""The shared encoder of U2 (Zhang et al., arXiv 2012.05481): a Conformer or Transformer that streams."""

# No `from __future__ import annotations` here: TorchScript cannot read a NamedTuple's annotations as text.
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wenet_lite.errors import ConfigError
from wenet_lite.features.cmvn import GlobalCmvn
from wenet_lite.model.attention import Sinusoids, sinusoids
from wenet_lite.model.cache import EncoderCache, last_frames
from wenet_lite.model.ctc import SelfConditioning
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.encoder_layer import build_embedding_layer, build_layer
from wenet_lite.model.input_check import check_cache, check_chunk, check_utterances, is_recorded
from wenet_lite.model.mask import chunk_mask, padding_mask
from wenet_lite.model.subsampling import Conv2dSubsampling, subsampled_length


class Activations(NamedTuple):
    """What the losses of training need of the encoder.

    Attributes:
        out: (batch, encoder_frames, dim) of the last layer, normalised.
        lens: (batch,) valid encoder frames.
        levels: outputs of the intermediate layers that were asked for, each (batch, encoder_frames, dim).
        routing: of each layer with experts their probabilities, (batch, encoder_frames, num_experts).
        embedding: (batch, encoder_frames, dim) of the network that the routers hear; empty where there is none.
    """

    out: Tensor
    lens: Tensor
    levels: list[Tensor]
    routing: list[Tensor]
    embedding: Tensor


class Encoder(nn.Module):
    """CMVN, subsampling, Conformer or Transformer layers.

    Whole utterances, chunk-masked utterances and true streams run the same layers; they differ in the
    mask and in the cache alone, and agree frame by frame.

    Args:
        config: sizes and options.
        input_dim: feature bins.
        conditioned: layers, counted from 1, whose CTC posteriors the layers above hear.
        vocab_size: tokens of these posteriors.
    Raises:
        ConfigError: if the bins are too few for the front end.
    """

    def __init__(
        self, config: EncoderConfig, input_dim: int, conditioned: tuple[int, ...] = (), vocab_size: int = 0
    ) -> None:
        super().__init__()
        self.dim = config.output_size
        self.input_dim = input_dim
        self.num_heads = config.attention_heads
        self.left_context = config.cnn_module_kernel - 1 if config.convolves and config.causal else 0
        self.positions = str(config.pos_enc_layer_type)
        self.static_chunk_size = config.static_chunk_size
        self.global_cmvn = GlobalCmvn(input_dim)
        channels = config.subsampling_channels or self.dim
        if subsampled_length(input_dim, config.input_layer) == 0:
            raise ConfigError(f"{input_dim} feature bins are too few for input_layer {config.input_layer}")
        self.embed = Conv2dSubsampling(config.input_layer, input_dim, self.dim, channels)
        self.embed_dropout = nn.Dropout(config.positional_dropout_rate)
        self.embed_positions: nn.Module = Sinusoids(self.dim)
        # The embedding network stands before the layers in a stream's caches.
        self.num_embedding_blocks = config.moe.embedding_num_blocks if config.moe else 0
        self.embedding_is_taught = config.moe is not None and config.moe.embedding_ctc_weight > 0
        self.num_caches = self.num_embedding_blocks + config.num_blocks
        self.embedding_network = nn.ModuleList(
            [build_embedding_layer(config) for _ in range(self.num_embedding_blocks)]
        )
        self.embedding_norm = nn.LayerNorm(self.dim) if self.num_embedding_blocks else nn.Identity()
        numbers = range(1, config.num_blocks + 1)
        self.encoders = nn.ModuleList([build_layer(config, i) for i in numbers])
        self.conditioning = nn.ModuleList(
            [SelfConditioning(self.dim, vocab_size) if i in conditioned else nn.Identity() for i in numbers]
        )
        self.after_norm = nn.LayerNorm(self.dim)

    def forward(
        self, features: Tensor, lens: Tensor, chunk_size: int = -1, num_left_chunks: int = -1
    ) -> tuple[Tensor, Tensor]:
        """Encode padded utterances.

        Args:
            features: (batch, frames, bins).
            lens: (batch,) valid frames.
            chunk_size: encoder frames a chunk; -1 for the whole utterance, or for `static_chunk_size` if there is one.
            num_left_chunks: chunks of history, or -1 for all.
        Returns:
            (batch, encoder_frames, dim) and (batch,) valid encoder frames.
        Raises:
            InputError: in eval mode, if an utterance is shorter than the front end's window, or for features that are
                not finite.
        """
        no_levels: list[int] = []
        activations = self.activations(features, lens, chunk_size, num_left_chunks, no_levels)
        return activations.out, activations.lens

    def activations(
        self, features: Tensor, lens: Tensor, chunk_size: int, num_left_chunks: int, levels: list[int]
    ) -> Activations:
        """As `forward`, and the outputs of the layers `levels`, counted from 1, and of the routers."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            check_utterances(features, lens, self.input_dim, self.embed.right_context + 1, finite=not self.training)
        start = torch.zeros_like(lens)
        x, out_lens = self._embed(features, lens, start)
        frame_mask = padding_mask(out_lens, x.shape[1])
        attention_mask = frame_mask.unsqueeze(1)
        if chunk_size <= 0:
            chunk_size = self.static_chunk_size
        if chunk_size > 0:
            attention_mask = attention_mask & chunk_mask(x.shape[1], chunk_size, num_left_chunks, x.device)
        pos_emb = self._positions(start[:1], 0, x.shape[1]).to(x.dtype)
        empty = self.empty_cache(x.shape[0], 0, x)
        activations, _ = self._layers(x, attention_mask, pos_emb, frame_mask, out_lens, empty, levels, -1)
        return activations

    @torch.jit.export
    def empty_cache(self, batch_size: int, cache_frames: int, like: Tensor) -> EncoderCache:
        """The state of `batch_size` streams that have heard nothing.

        Args:
            batch_size: streams.
            cache_frames: room for earlier frames: chunk size times number of left chunks.
            like: a tensor of the device and floating type wanted.
        """
        d_k = self.dim // self.num_heads
        return EncoderCache(
            like.new_zeros(self.num_caches, batch_size, self.num_heads, cache_frames, 2 * d_k),
            like.new_zeros(self.num_caches, batch_size, self.dim, self.left_context),
            torch.zeros(batch_size, dtype=torch.long, device=like.device),
            torch.zeros(batch_size, dtype=torch.long, device=like.device),
        )

    @torch.jit.export
    def forward_chunk(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, EncoderCache]:
        """Encode the next chunk of each stream.

        Args:
            features: (batch, frames, bins): those of the chunk and the front end's right context;
                (chunk_size - 1) * rate + right_context + 1 frames give chunk_size encoder frames.
            lens: (batch,) valid frames; a stream may bring fewer than the others, or none.
            cache: what the call before returned, or `empty_cache`.
            next_cache_frames: earlier frames the next call may look at.
        Returns:
            (batch, encoder_frames, dim), (batch,) valid encoder frames, and the next cache.
        Raises:
            InputError: if `next_cache_frames` is negative, or a stream brings some frames, but fewer than the front
                end's window; for features that are not finite, and for the cache of another model.
        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            check_chunk(features, lens, self.input_dim, self.embed.right_context + 1, next_cache_frames)
            check_cache(cache, self.empty_cache(features.shape[0], 0, features))
        return self.advance(features, lens, cache, next_cache_frames)

    @torch.jit.export
    def advance(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, EncoderCache]:
        """`forward_chunk` without its checks."""
        x, out_lens = self._embed(features, lens, cache.offset)
        time, cache_frames = x.shape[1], cache.attention.shape[3]
        frame_mask = padding_mask(out_lens, time)
        keys = torch.arange(cache_frames, device=x.device).unsqueeze(0)
        attention_mask = torch.cat([keys >= cache_frames - cache.lens.unsqueeze(1), frame_mask], dim=1).unsqueeze(1)
        pos_emb = self._positions(cache.offset, cache_frames, time).to(x.dtype)
        no_levels: list[int] = []
        activations, next_cache = self._layers(
            x, attention_mask, pos_emb, frame_mask, out_lens, cache, no_levels, next_cache_frames
        )
        return activations.out, out_lens, next_cache

    def _embed(self, features: Tensor, lens: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        x, out_lens = self.embed(self.global_cmvn(features), lens)
        x = x * math.sqrt(self.dim)
        if self.positions == "abs_pos":
            x = x + sinusoids(offset.unsqueeze(1) + torch.arange(x.shape[1], device=x.device), self.dim).to(x.dtype)
        return self.embed_dropout(x), out_lens

    def _positions(self, offset: Tensor, cache_frames: int, time: int) -> Tensor:
        """What attention is told of positions, given (batch,) frames before the new ones."""
        if self.positions == "abs_pos":
            return torch.zeros(0, device=offset.device)
        if self.positions == "rel_pos":
            keys = torch.arange(cache_frames + time, device=offset.device)
            positions = (offset - cache_frames).unsqueeze(1) + keys
        else:
            positions = torch.arange(cache_frames + time - 1, -time, -1, device=offset.device).unsqueeze(0)
        return self.embed_dropout(self.embed_positions(positions))

    def _layers(
        self,
        x: Tensor,
        attention_mask: Tensor,
        pos_emb: Tensor,
        frame_mask: Tensor,
        lens: Tensor,
        cache: EncoderCache,
        levels: list[int],
        next_cache_frames: int,
    ) -> tuple[Activations, EncoderCache]:
        """All layers over the front end's output; the cache comes back as it was if `next_cache_frames` is negative."""
        remembers = next_cache_frames >= 0
        next_cache = self._next_cache(cache, lens, next_cache_frames) if remembers else cache
        attention: list[Tensor] = []
        convolution: list[Tensor] = []
        time = x.shape[1]
        padding: Tensor | None = time - lens
        of_frames: Tensor | None = frame_mask
        if _is_full(lens, time):
            padding = of_frames = None
        embedding = torch.zeros(0, device=x.device)
        if self.num_embedding_blocks > 0:
            embedding = x
        for i, layer in enumerate(self.embedding_network):
            embedding, keys_values, inputs, _ = layer(
                embedding, attention_mask, pos_emb, of_frames, cache.attention[i], cache.convolution[i], x
            )
            if remembers:
                rooms = _room(next_cache.attention, i, attention), _room(next_cache.convolution, i, convolution)
                _remember(keys_values, inputs, time, padding, rooms[0], rooms[1])
        embedding = self.embedding_norm(embedding)
        # Routing does not teach the embedding network, which has a loss of its own (3M).
        heard = embedding.detach() if self.embedding_is_taught else embedding
        outputs: list[Tensor] = []
        routing: list[Tensor] = []
        for i, (layer, conditioning) in enumerate(zip(self.encoders, self.conditioning)):
            row = i + self.num_embedding_blocks
            x, keys_values, inputs, probabilities = layer(
                x, attention_mask, pos_emb, of_frames, cache.attention[row], cache.convolution[row], heard
            )
            if probabilities.numel() > 0:
                routing.append(probabilities)
            if i + 1 in levels:
                outputs.append(x)
            x = conditioning(x)
            if remembers:
                rooms = _room(next_cache.attention, row, attention), _room(next_cache.convolution, row, convolution)
                _remember(keys_values, inputs, time, padding, rooms[0], rooms[1])
        if remembers and is_recorded():
            next_cache = EncoderCache(
                torch.stack(attention), torch.stack(convolution), next_cache.lens, next_cache.offset
            )
        return Activations(self.after_norm(x), lens, outputs, routing, embedding), next_cache

    def _next_cache(self, cache: EncoderCache, lens: Tensor, cache_frames: int) -> EncoderCache:
        """Room for what the layers will remember of these frames and those before them."""
        layers, batch, heads, _, features = cache.attention.shape
        return EncoderCache(
            cache.attention.new_empty(layers, batch, heads, cache_frames, features),
            torch.empty_like(cache.convolution),
            torch.clamp(cache.lens + lens, max=cache_frames),
            cache.offset + lens,
        )


def _remember(
    keys_values: Tensor, inputs: Tensor, time: int, padding: Tensor | None, attention: Tensor, convolution: Tensor
) -> None:
    """Put the newest of what a layer has heard into its place in the next cache.

    Args:
        keys_values: (batch, heads, cached and new frames, 2 * d_k).
        inputs: (batch, cached and new frames, dim) of the convolution.
        time: new frames.
        padding: (batch,) of these that are padding, or None for none.
        attention: (batch, heads, next_cache_frames, 2 * d_k).
        convolution: (batch, dim, kernel - 1).
    """
    missing = attention.shape[2] - (keys_values.shape[2] - time)
    if missing > 0:
        keys_values = nn.functional.pad(keys_values, (0, 0, missing, 0))
    attention.copy_(last_frames(keys_values, padding, attention.shape[2]))
    if convolution.shape[2] > 0:
        convolution.copy_(last_frames(inputs.unsqueeze(1), padding, convolution.shape[2]).squeeze(1).transpose(1, 2))


def _room(cache: Tensor, row: int, recorded: list[Tensor]) -> Tensor:
    """Of a layer; in a recorded graph, where writing into a part of a tensor copies the whole, on its own in a list."""
    room = cache[row]
    if is_recorded():
        room = torch.empty_like(room)
        recorded.append(room)
    return room


def _is_full(lens: Tensor, time: int) -> bool:
    """Whether no stream has padding; false where to know it would wait for a GPU, or be fixed in a recorded graph."""
    return not is_recorded() and lens.device.type == "cpu" and bool((lens == time).all())
