"""The attention decoders: Transformers over tokens that look at the encoder's frames, left to right and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wenet_lite.model.attention import MultiHeadedAttention, sinusoids
from wenet_lite.model.decoder_cache import DecoderCache
from wenet_lite.model.dropout import check_dropout_rates
from wenet_lite.model.feed_forward import ActivationType, PositionwiseFeedForward, build_activation
from wenet_lite.model.mask import causal_mask, padding_mask


@dataclass(frozen=True)
class TransformerDecoderConfig:
    """Keys as in WeNet's `decoder_conf`; the size of a frame is the encoder's.

    Attributes:
        attention_heads: heads; divides the encoder's output size.
        linear_units: hidden size of the feed-forward networks.
        num_blocks: layers.
        r_num_blocks: layers of a second decoder that reads right to left (U2++); 0 for none.
        activation_type: non-linearity of the feed-forward networks.
        dropout_rate, positional_dropout_rate, self_attention_dropout_rate, src_attention_dropout_rate: probabilities.
    """

    attention_heads: int = 4
    linear_units: int = 2048
    num_blocks: int = 6
    r_num_blocks: int = 0
    activation_type: ActivationType = "relu"
    dropout_rate: float = 0.1
    positional_dropout_rate: float = 0.1
    self_attention_dropout_rate: float = 0.0
    src_attention_dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        check_dropout_rates(self)


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder, feed-forward, each pre-normed and residual."""

    def __init__(self, config: TransformerDecoderConfig, dim: int) -> None:
        super().__init__()
        heads = config.attention_heads
        self.self_attn = MultiHeadedAttention(heads, dim, config.self_attention_dropout_rate)
        self.src_attn = MultiHeadedAttention(heads, dim, config.src_attention_dropout_rate)
        activation = build_activation(config.activation_type)
        self.feed_forward = PositionwiseFeedForward(dim, config.linear_units, config.dropout_rate, activation)
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

    def step(self, x: Tensor, index: int, cache: DecoderCache, start: int, own_bias: Tensor) -> Tensor:
        """One more token of each hypothesis.

        Args:
            x: (batch, hypotheses, dim) the newest token of each.
            index: of the layer in the cache.
            cache: the newest keys and values are added to it, after the `start` that there are.
            own_bias: (batch, 1, hypotheses, tokens), see `MultiHeadedAttention.bias`.
        Returns:
            (batch, hypotheses, dim).
        """
        newest = self.norm1(x)
        keys, values = cache.tokens[index].add(start, *self.self_attn.project(newest))
        x = x + self.self_attn.attend(newest, keys, values, own_bias)
        x = x + self.src_attn.attend(self.norm2(x), *cache.memory[index], cache.memory_bias)
        return x + self.feed_forward(self.norm3(x))


class TransformerDecoder(nn.Module):
    """Predicts each token from those before it and the encoder's frames.

    Args:
        config: sizes and options.
        dim: size of an encoder frame.
        vocab_size: tokens.
        num_blocks: layers.
    """

    def __init__(self, config: TransformerDecoderConfig, dim: int, vocab_size: int, num_blocks: int) -> None:
        super().__init__()
        self.dim = dim
        self.num_heads = config.attention_heads
        self.embed = nn.Sequential(nn.Embedding(vocab_size, dim))
        self.embed_dropout = nn.Dropout(config.positional_dropout_rate)
        self.decoders = nn.ModuleList([DecoderLayer(config, dim) for _ in range(num_blocks)])
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
        positions = torch.arange(length, device=tokens.device)
        return self.tree_logits(memory, memory_lens, tokens, positions, token_mask)

    @torch.jit.export
    def tree_logits(
        self, memory: Tensor, memory_lens: Tensor, tokens: Tensor, positions: Tensor, token_mask: Tensor
    ) -> Tensor:
        """Score what follows each token, for tokens that need not stand in a row.

        Args:
            memory: (batch, frames, dim) encoder output.
            memory_lens: (batch,) valid frames.
            tokens: (batch, length).
            positions: (length,) or (batch, length) place of each token in its sequence; the start symbol's is 0.
            token_mask: (batch, length, length), true where a token looks at another.
        Returns:
            (batch, length, vocab) logits.
        """
        memory_mask = padding_mask(memory_lens, memory.shape[1]).unsqueeze(1)
        x = self.embed(tokens) * math.sqrt(self.dim) + sinusoids(positions, self.dim).to(memory.dtype)
        x = self.embed_dropout(x)
        for layer in self.decoders:
            x = layer(x, token_mask, memory, memory_mask)
        return self.output_layer(self.after_norm(x))

    def start(self, memory: Tensor, memory_lens: Tensor, num_hypotheses: int) -> DecoderCache:
        """Prepare decoding token by token, in eval mode.

        Args:
            memory: (batch, frames, dim) encoder output.
            memory_lens: (batch,) valid frames.
            num_hypotheses: of each utterance.
        """
        layers = self._layers()
        projected = [layer.src_attn.project(memory) for layer in layers]
        mask = padding_mask(memory_lens, memory.shape[1]).unsqueeze(1)
        return DecoderCache(projected, layers[0].src_attn.bias(mask, projected[0][0].dtype), num_hypotheses)

    def step(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Score what follows the newest token of each hypothesis; agrees with `forward` on the whole prefix.

        Args:
            tokens: (batch, hypotheses) newest tokens.
            cache: of the tokens before them; they are added to it.
        Returns:
            (batch, hypotheses, vocab) logits.
        """
        layers = self._layers()
        position = torch.tensor(cache.position, device=tokens.device)
        x = self.embed(tokens) * math.sqrt(self.dim) + sinusoids(position, self.dim).to(cache.memory_bias.dtype)
        start = cache.advance()
        own_bias = layers[0].self_attn.bias(cache.own, cache.memory_bias.dtype)
        for index, layer in enumerate(layers):
            x = layer.step(x, index, cache, start, own_bias)
        logits: Tensor = self.output_layer(self.after_norm(x))
        return logits

    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoders if isinstance(layer, DecoderLayer)]


class BiTransformerDecoder(nn.Module):
    """Two decoders of their own: one predicts each token from those before it, one from those after it (U2++).

    Args:
        config: sizes and options; `r_num_blocks` layers read right to left.
        dim: size of an encoder frame.
        vocab_size: tokens.
    """

    def __init__(self, config: TransformerDecoderConfig, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.left_decoder = TransformerDecoder(config, dim, vocab_size, config.num_blocks)
        self.right_decoder = TransformerDecoder(config, dim, vocab_size, config.r_num_blocks)


def reversed_tokens(tokens: Tensor, lens: Tensor) -> Tensor:
    """Each row's valid tokens the other way round; padding stays where it is.

    Args:
        tokens: (batch, length).
        lens: (batch,) valid tokens.
    """
    positions = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0)
    mirrored = lens.unsqueeze(1) - 1 - positions
    return tokens.gather(1, torch.where(mirrored >= 0, mirrored, positions))
