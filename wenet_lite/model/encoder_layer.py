"""The layers of the encoder: Conformer, Conformer with a mixture of experts, Transformer."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from wenet_lite.model.attention import (
    DistanceMultiHeadedAttention,
    MultiHeadedAttention,
    RelPositionMultiHeadedAttention,
)
from wenet_lite.model.convolution import ConvolutionModule
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.feed_forward import PositionwiseFeedForward, build_activation
from wenet_lite.model.mixture import MixtureOfExperts


class ConformerLayer(nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, each pre-normed and residual.

    As in WeNet there is no norm at the end of a layer that has no convolution.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        dim = config.output_size
        halves, convolves = config.macaron_style, config.convolves
        self.scale = 0.5 if halves else 1.0
        self.feed_forward_macaron = _feed_forward(config) if halves else None
        self.self_attn = _self_attention(config)
        self.conv_module = _convolution(config) if convolves else None
        self.feed_forward: nn.Module = _feed_forward(config)
        self.norm_ff_macaron = nn.LayerNorm(dim) if halves else nn.Identity()
        self.norm_mha = nn.LayerNorm(dim)
        self.norm_conv = nn.LayerNorm(dim) if convolves else nn.Identity()
        self.norm_ff = nn.LayerNorm(dim)
        self.norm_final = nn.LayerNorm(dim) if convolves else nn.Identity()
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor,
        pos_emb: Tensor,
        frame_mask: Tensor | None,
        attention_cache: Tensor,
        convolution_cache: Tensor,
        embedding: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One layer over new frames; shapes as in the modules it is made of.

        Returns:
            (batch, time, dim); keys and values of cached and new frames; the convolution's inputs with those before
            them, (batch, kernel - 1 + time, dim); and where there are experts their probabilities (batch, time,
            num_experts), else an empty tensor.
        """
        if self.feed_forward_macaron is not None:
            x = torch.add(x, self.dropout(self.feed_forward_macaron(self.norm_ff_macaron(x))), alpha=self.scale)
        attended, keys_values = self.self_attn.forward_self(self.norm_mha(x), attention_mask, pos_emb, attention_cache)
        x = x + self.dropout(attended)
        if self.conv_module is None:
            inputs = convolution_cache.transpose(1, 2)
        else:
            convolved, inputs = self.conv_module(self.norm_conv(x), frame_mask, convolution_cache)
            x = x + self.dropout(convolved)
        transformed, routing = self._transform(self.norm_ff(x), embedding)
        x = torch.add(x, self.dropout(transformed), alpha=self.scale)
        return self.norm_final(x), keys_values, inputs, routing

    def _transform(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        return self.feed_forward(x), torch.zeros(0, device=x.device)


class MixtureConformerLayer(ConformerLayer):
    """A Conformer layer whose second feed-forward network is a mixture of experts; the macaron one stays dense (3M)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        assert config.moe is not None
        self.feed_forward = MixtureOfExperts(
            config.moe, config.output_size, config.linear_units, build_activation(config.activation)
        )

    def _transform(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        return self.feed_forward(x, embedding)


class TransformerLayer(nn.Module):
    """Self-attention, feed-forward, each pre-normed and residual."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        dim = config.output_size
        self.self_attn = _self_attention(config)
        self.feed_forward = _feed_forward(config)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor,
        pos_emb: Tensor,
        frame_mask: Tensor | None,
        attention_cache: Tensor,
        convolution_cache: Tensor,
        embedding: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `ConformerLayer.forward`; there is no convolution, and its inputs have no frames."""
        attended, keys_values = self.self_attn.forward_self(self.norm1(x), attention_mask, pos_emb, attention_cache)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.feed_forward(self.norm2(x)))
        return x, keys_values, convolution_cache.transpose(1, 2), torch.zeros(0, device=x.device)


def build_layer(config: EncoderConfig, number: int) -> ConformerLayer | TransformerLayer:
    """Encoder layer `number`, counted from 1."""
    if config.type == "transformer":
        return TransformerLayer(config)
    return MixtureConformerLayer(config) if number in config.layers_with_experts else ConformerLayer(config)


def build_embedding_layer(config: EncoderConfig) -> ConformerLayer:
    """A layer of the network that the routers of a mixture of experts hear."""
    assert config.moe is not None
    return ConformerLayer(replace(config, linear_units=config.moe.embedding_linear_units))


def _self_attention(config: EncoderConfig) -> MultiHeadedAttention:
    kinds = {
        "abs_pos": MultiHeadedAttention,
        "rel_pos": RelPositionMultiHeadedAttention,
        "rel_pos_true": DistanceMultiHeadedAttention,
    }
    return kinds[config.pos_enc_layer_type](config.attention_heads, config.output_size, config.attention_dropout_rate)


def _feed_forward(config: EncoderConfig) -> PositionwiseFeedForward:
    activation = build_activation(config.activation)
    return PositionwiseFeedForward(config.output_size, config.linear_units, config.dropout_rate, activation)


def _convolution(config: EncoderConfig) -> ConvolutionModule:
    activation = build_activation(config.activation)
    return ConvolutionModule(
        config.output_size, config.cnn_module_kernel, config.cnn_module_norm, config.causal, activation
    )
