"""The attention decoder: a Transformer over tokens that looks at the encoder's frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wenet_lite.model.attention import MultiHeadedAttention, sinusoids
from wenet_lite.model.feed_forward import PositionwiseFeedForward
from wenet_lite.model.mask import causal_mask, padding_mask


@dataclass(frozen=True)
class TransformerDecoderConfig:
    """Keys as in WeNet's `decoder_conf`; the size of a frame is the encoder's.

    Attributes:
        attention_heads: heads; divides the encoder's output size.
        linear_units: hidden size of the feed-forward networks.
        num_blocks: layers.
        dropout_rate, positional_dropout_rate, self_attention_dropout_rate, src_attention_dropout_rate: probabilities.
    """

    attention_heads: int = 4
    linear_units: int = 2048
    num_blocks: int = 6
    dropout_rate: float = 0.1
    positional_dropout_rate: float = 0.1
    self_attention_dropout_rate: float = 0.0
    src_attention_dropout_rate: float = 0.0


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder, feed-forward, each pre-normed and residual."""

    def __init__(self, config: TransformerDecoderConfig, dim: int) -> None:
        super().__init__()
        heads = config.attention_heads
        self.self_attn = MultiHeadedAttention(heads, dim, config.self_attention_dropout_rate)
        self.src_attn = MultiHeadedAttention(heads, dim, config.src_attention_dropout_rate)
        self.feed_forward = PositionwiseFeedForward(dim, config.linear_units, config.dropout_rate, nn.ReLU())
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Tensor, token_mask: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """(batch, tokens, dim) to the same; masks are (batch, tokens or 1, keys)."""
        normed = self.norm1(x)
        x = x + self.dropout(self.self_attn(normed, normed, token_mask))
        x = x + self.dropout(self.src_attn(self.norm2(x), memory, memory_mask))
        return x + self.dropout(self.feed_forward(self.norm3(x)))


class TransformerDecoder(nn.Module):
    """Predicts each token from those before it and the encoder's frames.

    Args:
        config: sizes and options.
        dim: size of an encoder frame.
        vocab_size: tokens.
    """

    def __init__(self, config: TransformerDecoderConfig, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.dim = dim
        self.embed = nn.Sequential(nn.Embedding(vocab_size, dim))
        self.embed_dropout = nn.Dropout(config.positional_dropout_rate)
        self.decoders = nn.ModuleList([DecoderLayer(config, dim) for _ in range(config.num_blocks)])
        self.after_norm = nn.LayerNorm(dim)
        self.output_layer = nn.Linear(dim, vocab_size)

    def forward(self, memory: Tensor, memory_lens: Tensor, tokens: Tensor, token_lens: Tensor) -> Tensor:
        """Score the token after each given one.

        Args:
            memory: (batch, frames, dim) encoder output.
            memory_lens: (batch,) valid frames.
            tokens: (batch, length), starting with the start symbol; any valid token as padding.
            token_lens: (batch,) valid tokens.
        Returns:
            (batch, length, vocab) logits.
        """
        length = tokens.shape[1]
        token_mask = padding_mask(token_lens, length).unsqueeze(1) & causal_mask(length, tokens.device)
        memory_mask = padding_mask(memory_lens, memory.shape[1]).unsqueeze(1)
        positions = sinusoids(torch.arange(length, device=tokens.device), self.dim)
        x = self.embed_dropout(self.embed(tokens) * math.sqrt(self.dim) + positions)
        for layer in self.decoders:
            x = layer(x, token_mask, memory, memory_mask)
        return self.output_layer(self.after_norm(x))
