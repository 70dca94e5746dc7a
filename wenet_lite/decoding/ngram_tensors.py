"""The automaton of an n-gram language model as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wenet_lite.decoding.ngram import NgramLm, walk


@dataclass(frozen=True, eq=False)
class NgramTensors:
    """`NgramLm` for a search on a device; the attributes are those of `NgramLm`, where they are explained."""

    keys: Tensor
    log_probs: Tensor
    backoffs: Tensor
    suffixes: Tensor
    vocab_size: int
    order: int
    num_states: int

    @classmethod
    def of(cls, lm: NgramLm, device: torch.device | str) -> NgramTensors:
        """The arrays of `lm` on `device`; on a CPU they are shared."""
        keys, log_probs, backoffs, suffixes = (
            torch.from_numpy(array).to(device) for array in (lm.keys, lm.log_probs, lm.backoffs, lm.suffixes)
        )
        return cls(keys, log_probs, backoffs, suffixes, lm.vocab_size, lm.order, lm.num_states)

    def steps(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Go on by words, each from its state, without waiting for the device.

        Args:
            states, words: int64, of one shape.
        Returns:
            float32 natural log p(word | state) and int64 next states, of that shape.
        """
        log_probs, nodes = walk(self, states, words, torch)
        return log_probs, torch.where(nodes < self.num_states, nodes, self.suffixes[nodes])
