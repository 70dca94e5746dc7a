"""Multi-head attention, plain and with the positions of keys: WeNet's absolute ones, or true distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

MASKED = -6e4
"""Score of a masked key: its weight is exactly 0, and half precision can hold it."""


def sinusoids(positions: Tensor, dim: int) -> Tensor:
    """Interleaved sine and cosine of positions (Vaswani et al., 2017, section 3.5).

    Args:
        positions: (...) integer positions; there is no largest one.
        dim: size of an embedding, even.
    Returns:
        (..., dim) float32.
    """
    steps = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32)
    angles = positions.to(torch.float32).unsqueeze(-1) * torch.exp(steps * -(math.log(10000.0) / dim))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class Sinusoids(nn.Module):
    """`sinusoids` as a module, which a runtime may put a table in the place of.

    Args:
        dim: size of an embedding, even.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, positions: Tensor) -> Tensor:
        """(...) integer positions to (..., dim) float32."""
        return sinusoids(positions, self.dim)


class MultiHeadedAttention(nn.Module):
    """Scaled dot-product attention.

    Args:
        num_heads: heads; divides `dim`.
        dim: size of inputs and output.
        dropout_rate: dropout on the attention weights.
    """

    def __init__(self, num_heads: int, dim: int, dropout_rate: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.d_k = dim // num_heads
        self.dropout_rate = dropout_rate
        self.masked = MASKED
        self.linear_q = nn.Linear(dim, dim)
        self.linear_k = nn.Linear(dim, dim)
        self.linear_v = nn.Linear(dim, dim)
        self.linear_out = nn.Linear(dim, dim)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attend from `query` to `memory`.

        Args:
            query: (batch, queries, dim).
            memory: (batch, keys, dim).
            mask: (batch or 1, queries or 1, keys), true where a query may look.
        Returns:
            (batch, queries, dim).
        """
        k, v = self.project(memory)
        return self.attend(query, k, v, self.bias(mask, k.dtype))

    def project(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, keys, dim) to keys and values, each (batch, heads, keys, d_k)."""
        return self._heads(self.linear_k(memory)), self._heads(self.linear_v(memory))

    def bias(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """What is added to the scores for a mask as in `forward`: (batch or 1, 1, queries or 1, keys)."""
        return torch.where(mask, 0.0, self.masked).to(dtype).unsqueeze(1)

    def attend(self, query: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """As `forward`, with a memory that `project` has been applied to, and a mask that `bias` has."""
        return self._attend(self._heads(self.linear_q(query)), k, v, bias)

    def forward_self(self, x: Tensor, mask: Tensor, pos_emb: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Attend from `x` to the cached frames and itself.

        Args:
            x: (batch, time, dim).
            mask: (batch or 1, time or 1, cache_frames + time), true where a frame may look.
            pos_emb: what the subclass needs of the keys' positions; nothing here.
            cache: (batch, heads, cache_frames, 2 * d_k) keys and values of earlier frames.
        Returns:
            (batch, time, dim), and (batch, heads, cache_frames + time, 2 * d_k) keys and values.
        """
        q, k, v, keys_values = self._with_cache(x, cache)
        return self._attend(q, k, v, self.bias(mask, q.dtype)), keys_values

    def _with_cache(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries of `x`; keys of the cached frames and of `x`; their values; the last two side by side."""
        keys_values = torch.cat([self._heads(self.linear_k(x)), self._heads(self.linear_v(x))], dim=-1)
        if cache.shape[2] > 0:
            keys_values = torch.cat([cache, keys_values], dim=2)
        k, v = keys_values[..., : self.d_k], keys_values[..., self.d_k :]
        return self._heads(self.linear_q(x)), k, v, keys_values

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, time, dim) to (batch, heads, time, d_k)."""
        return x.view(x.shape[0], x.shape[1], self.num_heads, self.d_k).transpose(1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        dropout = self.dropout_rate if self.training else 0.0
        context = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
        return self.linear_out(context.transpose(1, 2).flatten(2))


class RelPositionMultiHeadedAttention(MultiHeadedAttention):
    """Self-attention with WeNet's `rel_pos` term, for whole utterances and for streams.

    The score of key j for query i is ((q_i + u) . k_j + (q_i + v) . p_j) / sqrt(d_k), where p_j projects
    the embedding of the *absolute* position j (WeNet omits Transformer-XL's shift). It equals
    (q_i + u) . (k_j + p_j) plus (v - u) . p_j, a term of the key alone, so one matrix product does.
    """

    def __init__(self, num_heads: int, dim: int, dropout_rate: float) -> None:
        super().__init__(num_heads, dim, dropout_rate)
        self.linear_pos = nn.Linear(dim, dim, bias=False)
        self.pos_bias_u = nn.Parameter(torch.empty(num_heads, self.d_k))
        self.pos_bias_v = nn.Parameter(torch.empty(num_heads, self.d_k))
        nn.init.xavier_uniform_(self.pos_bias_u)
        nn.init.xavier_uniform_(self.pos_bias_v)

    def forward_self(self, x: Tensor, mask: Tensor, pos_emb: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """As in the base class.

        Args:
            pos_emb: (batch or 1, cache_frames + time, dim) embeddings of the keys' positions.
        """
        q, k, v, keys_values = self._with_cache(x, cache)
        p = self._heads(self.linear_pos(pos_emb))
        of_key = (p * (self.pos_bias_v - self.pos_bias_u).unsqueeze(1)).sum(3) / math.sqrt(self.d_k)
        bias = of_key.unsqueeze(2).masked_fill(~mask.unsqueeze(1), self.masked)
        return self._attend(q + self.pos_bias_u.unsqueeze(1), k + p, v, bias), keys_values


class DistanceMultiHeadedAttention(RelPositionMultiHeadedAttention):
    """Self-attention with true relative positions (Dai et al., 2019, section 3.3), for utterances and for streams.

    The score of key j for query i is ((q_i + u) . k_j + (q_i + v) . p_{i-j}) / sqrt(d_k): it knows the distance
    alone, so the thousandth minute of a stream is like the first. Parameters as in `RelPositionMultiHeadedAttention`.
    """

    def forward_self(self, x: Tensor, mask: Tensor, pos_emb: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """As in the base class.

        Args:
            pos_emb: (1, cache_frames + 2 * time - 1, dim) embeddings of the distances from cache_frames + time - 1,
                between the last query and the first key, down to 1 - time.
        """
        q, k, v, keys_values = self._with_cache(x, cache)
        time, keys = q.shape[2], k.shape[2]
        p = self._heads(self.linear_pos(pos_emb))
        of_distance = torch.matmul(q + self.pos_bias_v.unsqueeze(1), p.transpose(2, 3))
        queries = torch.arange(time, device=x.device).unsqueeze(1)
        index = time - 1 - queries + torch.arange(keys, device=x.device)
        of_pair = of_distance.gather(3, index.expand(q.shape[0], q.shape[1], time, keys))
        bias = (of_pair / math.sqrt(self.d_k)).masked_fill(~mask.unsqueeze(1), self.masked)
        return self._attend(q + self.pos_bias_u.unsqueeze(1), k, v, bias), keys_values
