"""What the attention decoder keeps of hypotheses that grow token by token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_STEPS = 16
"""Tokens of each hypothesis that a cache has room for at first."""


class KeysValues:
    """Keys and values of one layer, in room that is seldom made anew.

    Args:
        keys: (batch, heads, room, d_k), of any values, as are those of `values`.
        values: the same.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def add(self, start: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put those of a step, (batch, heads, tokens, d_k), after the first `start`; returns all there are."""
        end = start + keys.shape[2]
        self.keys[:, :, start:end], self.values[:, :, start:end] = keys, values
        return self.keys[:, :, :end], self.values[:, :, :end]

    def keep(self, tokens: Tensor, room: int) -> None:
        """Keep (batch, tokens) some, by their indices, in other room."""
        index = tokens[:, None, :, None].expand(-1, self.keys.shape[1], -1, self.keys.shape[3])
        spare = (0, 0, 0, room - tokens.shape[1])
        self.keys = nn.functional.pad(self.keys.gather(2, index), spare)
        self.values = nn.functional.pad(self.values.gather(2, index), spare)

    def of(self, utterances: Tensor) -> KeysValues:
        """Those of some utterances, by their indices."""
        return KeysValues(self.keys[utterances], self.values[utterances])


class DecoderCache:
    """Keys and values of the encoder's frames and of the hypotheses' tokens.

    Hypotheses that begin alike share tokens, and nothing is moved where some are chosen and others dropped: each
    knows which tokens are its own. Those that are nobody's go when there is no more room.

    Args:
        memory: keys and values of the encoder's frames for each layer, each (batch, heads, frames, d_k); the
            hypotheses of an utterance share them.
        memory_bias: (batch, 1, 1, frames), see `MultiHeadedAttention.bias`.
        num_hypotheses: of each utterance.
    """

    def __init__(self, memory: list[tuple[Tensor, Tensor]], memory_bias: Tensor, num_hypotheses: int) -> None:
        self.memory, self.memory_bias = memory, memory_bias
        self.position = 0
        """Tokens of each hypothesis so far."""
        self.room = num_hypotheses * _STEPS
        self.own = torch.zeros(len(memory_bias), num_hypotheses, 0, dtype=torch.bool, device=memory_bias.device)
        """(batch, hypotheses, tokens), true where a token is the hypothesis's own."""
        self.tokens = []
        for keys, _ in memory:
            empty = keys.new_empty(*keys.shape[:2], self.room, keys.shape[3])
            self.tokens.append(KeysValues(empty, torch.empty_like(empty)))

    def advance(self) -> int:
        """Make place for one more token of each hypothesis; returns how many there are before them."""
        batch, hypotheses, start = self.own.shape
        if start + hypotheses > self.room:
            self._tidy()
            start = self.own.shape[2]
        newest = torch.eye(hypotheses, dtype=torch.bool, device=self.own.device).expand(batch, -1, -1)
        self.own = torch.cat([self.own, newest], dim=2)
        self.position += 1
        return start

    def _tidy(self) -> None:
        """Forget tokens that are no hypothesis's own; double the room if they were few."""
        owned = self.own.any(dim=1)
        number = int(owned.sum(dim=1).max())
        if 2 * number > self.room:
            self.room *= 2
        tokens = owned.byte().topk(number, dim=1).indices
        self.own = self.own.gather(2, tokens.unsqueeze(1).expand(-1, self.own.shape[1], -1))
        for layer in self.tokens:
            layer.keep(tokens, self.room)

    def select(self, hypotheses: Tensor) -> None:
        """Go on with (batch, hypotheses) some of each utterance's hypotheses, by their indices among the present."""
        self.own = self.own.gather(1, hypotheses.unsqueeze(2).expand(-1, -1, self.own.shape[2]))

    def keep(self, utterances: Tensor) -> None:
        """Forget all utterances but those of these indices."""
        self.memory = [(keys[utterances], values[utterances]) for keys, values in self.memory]
        self.memory_bias, self.own = self.memory_bias[utterances], self.own[utterances]
        self.tokens = [layer.of(utterances) for layer in self.tokens]
