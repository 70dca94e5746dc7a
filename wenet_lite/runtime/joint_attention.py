"""Self-attention for recognition in fewer and larger steps: a chunk of a stream is so little that their number counts.

A layer's queries, keys and values come out of one product instead of three, and positions out of a table that all
layers share, instead of out of a product for all keys of each layer anew.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from wenet_lite.model.attention import MASKED, RelPositionMultiHeadedAttention, sinusoids
from wenet_lite.model.encoder import Encoder

_POSITIONS = 1024
"""In the table: 41 seconds of encoder frames of 40 ms. Later ones are projected as they come."""


@torch.no_grad()
def join_attention(encoder: Encoder) -> None:
    """Replace an encoder's self-attention, in place, where its positions are WeNet's `rel_pos`; others stay.

    Args:
        encoder: in eval mode, float32; results agree to rounding, caches are the same.
    """
    layers = [*encoder.embedding_network, *encoder.encoders]
    attentions = [layer.self_attn for layer in layers]
    if encoder.positions != "rel_pos":
        return
    encoder.embed_positions = PositionTable(attentions)
    for i, (layer, attention) in enumerate(zip(layers, attentions)):
        layer.self_attn = JointAttention(attention, i)


class PositionTable(nn.Module):
    """What positions add to the keys and the scores of each layer.

    Args:
        attentions: of all layers, alike in size.
    """

    def __init__(self, attentions: list[RelPositionMultiHeadedAttention]) -> None:
        super().__init__()
        self.projection: Tensor
        self.table: Tensor
        self.dim = attentions[0].linear_pos.in_features
        self.register_buffer("projection", torch.cat([_of_position(each) for each in attentions]), persistent=False)
        self.register_buffer("table", self._projected(torch.arange(_POSITIONS)), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """(batch or 1, keys) positions, each row one after the other, to (batch or 1, keys, layers * (dim + heads)).

        Positions are negative where a key is masked. Of each layer there are the (dim,) that are added to a key, of
        all heads, then the (heads,) of the scores.
        """
        first, last = int(positions[0, 0]), int(positions[:, -1].max())
        if last >= len(self.table):
            return self._projected(positions)
        if len(positions) == 1 and first >= 0:
            return self.table[first : last + 1].unsqueeze(0)
        return self.table[positions.clamp(min=0)]

    def _projected(self, positions: Tensor) -> Tensor:
        return nn.functional.linear(sinusoids(positions, self.dim), self.projection)


class JointAttention(nn.Module):
    """`RelPositionMultiHeadedAttention` over a `PositionTable`.

    The score of key j for query i is (q_i + u) . (k_j + p_j) + (v - u) . p_j over sqrt(d_k): u goes into the bias of
    the queries, and what is of the position alone comes out of the table.

    Args:
        attention: of float32 weights.
        layer: its row in the table.
    """

    def __init__(self, attention: RelPositionMultiHeadedAttention, layer: int) -> None:
        super().__init__()
        self.num_heads, self.d_k = attention.num_heads, attention.d_k
        self.dim = self.num_heads * self.d_k
        self.first = layer * (self.dim + self.num_heads)
        self.masked = MASKED
        q, k, v = attention.linear_q, attention.linear_k, attention.linear_v
        self.linear_qkv = nn.Linear(self.dim, 3 * self.dim)
        self.linear_qkv.weight.copy_(torch.cat([q.weight, self._side_by_side(k.weight, v.weight)]))
        self.linear_qkv.bias.copy_(
            torch.cat([q.bias + attention.pos_bias_u.flatten(), self._side_by_side(k.bias, v.bias)])
        )
        self.linear_out = attention.linear_out

    def forward_self(self, x: Tensor, mask: Tensor, pos_emb: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """As `RelPositionMultiHeadedAttention.forward_self`, with a `pos_emb` out of the table."""
        batch, time, _ = x.shape
        projected = self.linear_qkv(x)
        q = projected[:, :, : self.dim].view(batch, time, self.num_heads, self.d_k).transpose(1, 2)
        keys_values = projected[:, :, self.dim :].view(batch, time, self.num_heads, 2 * self.d_k).transpose(1, 2)
        if cache.shape[2] > 0:
            keys_values = torch.cat([cache, keys_values], dim=2)
        of_key = pos_emb[:, :, self.first : self.first + self.dim].unflatten(2, (self.num_heads, self.d_k))
        of_score = pos_emb[:, :, self.first + self.dim : self.first + self.dim + self.num_heads]
        k, v = keys_values[..., : self.d_k] + of_key.transpose(1, 2), keys_values[..., self.d_k :]
        bias = of_score.transpose(1, 2).unsqueeze(2).masked_fill(~mask.unsqueeze(1), self.masked)
        context = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.linear_out(context.transpose(1, 2).flatten(2)), keys_values

    def _side_by_side(self, k: Tensor, v: Tensor) -> Tensor:
        """(dim, ...) of keys and of values as (2 * dim, ...): of each head the keys, then the values, as in a cache."""
        return torch.stack([k.unflatten(0, (-1, self.d_k)), v.unflatten(0, (-1, self.d_k))], dim=1).flatten(0, 2)


def _of_position(attention: RelPositionMultiHeadedAttention) -> Tensor:
    """(dim + heads, dim): from the embedding of a position to what it adds to a key, and to the score of each head."""
    to_key = attention.linear_pos.weight
    difference = (attention.pos_bias_v - attention.pos_bias_u).unsqueeze(2)
    to_score = (difference * to_key.unflatten(0, (-1, attention.d_k))).sum(1) / math.sqrt(attention.d_k)
    return torch.cat([to_key, to_score])
