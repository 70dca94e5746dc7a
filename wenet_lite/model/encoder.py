"""The shared encoder of U2 (Zhang et al., arXiv 2012.05481): a Conformer or Transformer that streams."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from wenet_lite.errors import ConfigError
from wenet_lite.features.cmvn import GlobalCmvn
from wenet_lite.model.attention import (
    DistanceMultiHeadedAttention,
    MultiHeadedAttention,
    RelPositionMultiHeadedAttention,
    sinusoids,
)
from wenet_lite.model.cache import EncoderCache, last_frames
from wenet_lite.model.convolution import ConvolutionModule
from wenet_lite.model.feed_forward import PositionwiseFeedForward
from wenet_lite.model.mask import chunk_mask, padding_mask
from wenet_lite.model.subsampling import Conv2dSubsampling, SubsamplingType, subsampled_length


@dataclass(frozen=True)
class EncoderConfig:
    """Keys as in WeNet's `encoder_conf`.

    Attributes:
        type: kind of the layers; a Transformer's have no convolution.
        output_size: size of an encoder frame.
        attention_heads: heads; divides `output_size`.
        linear_units: hidden size of the feed-forward networks.
        num_blocks: layers.
        input_layer: the convolutional front end.
        subsampling_channels: channels of the front end's convolutions; `output_size` if null.
        pos_enc_layer_type: `rel_pos` is WeNet's, which is really absolute; `rel_pos_true` knows distances alone and is
            the choice for long streams; `abs_pos` adds sinusoids to the frames.
        cnn_module_kernel: frames of the depth-wise convolution.
        cnn_module_norm: normalisation inside the convolution module.
        causal: no layer looks ahead by convolution; needed for streaming.
        use_dynamic_chunk: train with random chunks (U2).
        use_dynamic_left_chunk: also with random history.
        dropout_rate, positional_dropout_rate, attention_dropout_rate: probabilities.
    """

    type: Literal["conformer", "transformer"] = "conformer"
    output_size: int = 256
    attention_heads: int = 4
    linear_units: int = 2048
    num_blocks: int = 12
    input_layer: SubsamplingType = "conv2d"
    subsampling_channels: int | None = None
    pos_enc_layer_type: Literal["abs_pos", "rel_pos", "rel_pos_true"] = "rel_pos"
    cnn_module_kernel: int = 15
    cnn_module_norm: Literal["batch_norm", "layer_norm"] = "layer_norm"
    causal: bool = True
    use_dynamic_chunk: bool = True
    use_dynamic_left_chunk: bool = False
    dropout_rate: float = 0.1
    positional_dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1

    def __post_init__(self) -> None:
        if self.output_size % (2 * self.attention_heads):
            raise ValueError(f"output_size {self.output_size} is not a multiple of twice attention_heads")
        if not self.causal and self.cnn_module_kernel % 2 == 0:
            raise ValueError("cnn_module_kernel must be odd in a model that is not causal")
        if self.use_dynamic_chunk and not self.causal and self.type == "conformer":
            raise ValueError("use_dynamic_chunk needs causal: true, for a centred convolution looks past its chunk")


class ConformerLayer(nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, each pre-normed and residual."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        dim = config.output_size
        self.feed_forward_macaron = _feed_forward(config)
        self.self_attn = _self_attention(config)
        self.conv_module = ConvolutionModule(dim, config.cnn_module_kernel, config.cnn_module_norm, config.causal)
        self.feed_forward = _feed_forward(config)
        self.norm_ff_macaron = nn.LayerNorm(dim)
        self.norm_mha = nn.LayerNorm(dim)
        self.norm_conv = nn.LayerNorm(dim)
        self.norm_ff = nn.LayerNorm(dim)
        self.norm_final = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor,
        pos_emb: Tensor,
        frame_mask: Tensor,
        lens: Tensor,
        attention_cache: Tensor,
        convolution_cache: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layer over new frames; shapes as in the modules it is made of.

        Returns:
            (batch, time, dim), keys and values of cached and new frames, the next convolution cache.
        """
        x = x + 0.5 * self.dropout(self.feed_forward_macaron(self.norm_ff_macaron(x)))
        attended, keys_values = self.self_attn.forward_self(self.norm_mha(x), attention_mask, pos_emb, attention_cache)
        x = x + self.dropout(attended)
        convolved, convolution_cache = self.conv_module(self.norm_conv(x), frame_mask, lens, convolution_cache)
        x = x + self.dropout(convolved)
        x = x + 0.5 * self.dropout(self.feed_forward(self.norm_ff(x)))
        return self.norm_final(x), keys_values, convolution_cache


class TransformerLayer(nn.Module):
    """Self-attention, feed-forward, each pre-normed and residual."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        dim = config.output_size
        self.self_attn = _self_attention(config)
        self.feed_forward = PositionwiseFeedForward(dim, config.linear_units, config.dropout_rate, nn.ReLU())
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor,
        pos_emb: Tensor,
        frame_mask: Tensor,
        lens: Tensor,
        attention_cache: Tensor,
        convolution_cache: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `ConformerLayer.forward`; the convolution cache stays empty."""
        attended, keys_values = self.self_attn.forward_self(self.norm1(x), attention_mask, pos_emb, attention_cache)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.feed_forward(self.norm2(x)))
        return x, keys_values, convolution_cache


class Encoder(nn.Module):
    """CMVN, subsampling, Conformer or Transformer layers.

    Whole utterances, chunk-masked utterances and true streams run the same layers; they differ in the
    mask and in the cache alone, and agree frame by frame.

    Args:
        config: sizes and options.
        input_dim: feature bins.
    Raises:
        ConfigError: if they are too few for the front end.
    """

    def __init__(self, config: EncoderConfig, input_dim: int) -> None:
        super().__init__()
        self.dim = config.output_size
        self.num_heads = config.attention_heads
        self.num_blocks = config.num_blocks
        convolves = config.type == "conformer"
        self.left_context = config.cnn_module_kernel - 1 if convolves and config.causal else 0
        self.causal = config.causal or not convolves
        self.positions = str(config.pos_enc_layer_type)
        self.global_cmvn = GlobalCmvn(input_dim)
        channels = config.subsampling_channels or self.dim
        if subsampled_length(input_dim, config.input_layer) == 0:
            raise ConfigError(f"{input_dim} feature bins are too few for input_layer {config.input_layer}")
        self.embed = Conv2dSubsampling(config.input_layer, input_dim, self.dim, channels)
        self.embed_dropout = nn.Dropout(config.positional_dropout_rate)
        layer = ConformerLayer if convolves else TransformerLayer
        self.encoders = nn.ModuleList([layer(config) for _ in range(config.num_blocks)])
        self.after_norm = nn.LayerNorm(self.dim)

    def forward(
        self, features: Tensor, lens: Tensor, chunk_size: int = -1, num_left_chunks: int = -1
    ) -> tuple[Tensor, Tensor]:
        """Encode padded utterances.

        Args:
            features: (batch, frames, bins).
            lens: (batch,) valid frames.
            chunk_size: encoder frames a chunk, or -1 for the whole utterance.
            num_left_chunks: chunks of history, or -1 for all.
        Returns:
            (batch, encoder_frames, dim) and (batch,) valid encoder frames.
        """
        no_levels: list[int] = []
        out, out_lens, _ = self.forward_levels(features, lens, chunk_size, num_left_chunks, no_levels)
        return out, out_lens

    def forward_levels(
        self, features: Tensor, lens: Tensor, chunk_size: int, num_left_chunks: int, levels: list[int]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """As `forward`, and the outputs of the layers `levels` (from 1), each (batch, encoder_frames, dim), as well."""
        start = torch.zeros_like(lens)
        x, out_lens = self._embed(features, lens, start)
        frame_mask = padding_mask(out_lens, x.shape[1])
        attention_mask = frame_mask.unsqueeze(1)
        if chunk_size > 0:
            attention_mask = attention_mask & chunk_mask(x.shape[1], chunk_size, num_left_chunks, x.device)
        pos_emb = self._positions(start[:1], 0, x.shape[1])
        empty = self.empty_cache(x.shape[0], 0, x)
        outputs: list[Tensor] = []
        for i, layer in enumerate(self.encoders):
            x, _, _ = layer(x, attention_mask, pos_emb, frame_mask, out_lens, empty.attention[i], empty.convolution[i])
            if i + 1 in levels:
                outputs.append(x)
        return self.after_norm(x), out_lens, outputs

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
            like.new_zeros(self.num_blocks, batch_size, self.num_heads, cache_frames, 2 * d_k),
            like.new_zeros(self.num_blocks, batch_size, self.dim, self.left_context),
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
        """
        x, out_lens = self._embed(features, lens, cache.offset)
        time, cache_frames = x.shape[1], cache.attention.shape[3]
        frame_mask = padding_mask(out_lens, time)
        keys = torch.arange(cache_frames, device=x.device).unsqueeze(0)
        attention_mask = torch.cat([keys >= cache_frames - cache.lens.unsqueeze(1), frame_mask], dim=1).unsqueeze(1)
        pos_emb = self._positions(cache.offset, cache_frames, time)
        attention_caches: list[Tensor] = []
        convolution_caches: list[Tensor] = []
        missing = max(next_cache_frames - cache_frames, 0)
        for i, layer in enumerate(self.encoders):
            x, keys_values, convolution_cache = layer(
                x, attention_mask, pos_emb, frame_mask, out_lens, cache.attention[i], cache.convolution[i]
            )
            keys_values = nn.functional.pad(keys_values, (0, 0, missing, 0))
            ends = missing + cache_frames + out_lens
            attention_caches.append(last_frames(keys_values, ends, next_cache_frames))
            convolution_caches.append(convolution_cache)
        next_cache = EncoderCache(
            torch.stack(attention_caches),
            torch.stack(convolution_caches),
            torch.clamp(cache.lens + out_lens, max=next_cache_frames),
            cache.offset + out_lens,
        )
        return self.after_norm(x), out_lens, next_cache

    def _embed(self, features: Tensor, lens: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        x, out_lens = self.embed(self.global_cmvn(features), lens)
        x = x * math.sqrt(self.dim)
        if self.positions == "abs_pos":
            x = x + sinusoids(offset.unsqueeze(1) + torch.arange(x.shape[1], device=x.device), self.dim)
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
        return self.embed_dropout(sinusoids(positions, self.dim))


def _self_attention(config: EncoderConfig) -> MultiHeadedAttention:
    kinds = {
        "abs_pos": MultiHeadedAttention,
        "rel_pos": RelPositionMultiHeadedAttention,
        "rel_pos_true": DistanceMultiHeadedAttention,
    }
    return kinds[config.pos_enc_layer_type](config.attention_heads, config.output_size, config.attention_dropout_rate)


def _feed_forward(config: EncoderConfig) -> PositionwiseFeedForward:
    return PositionwiseFeedForward(config.output_size, config.linear_units, config.dropout_rate, nn.SiLU())
