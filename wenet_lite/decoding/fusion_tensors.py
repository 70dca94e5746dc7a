"""What hotwords and a language model add to prefixes, as operations on tensors of any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wenet_lite.decoding.fusion import Fusion
from wenet_lite.decoding.ngram_tensors import NgramTensors


class FusionTensors:
    """The steps of `fusion_kernel` for tensors of one shape.

    Args:
        fusion: hotwords and language model.
        device: of the tensors.
    """

    def __init__(self, fusion: Fusion, device: torch.device) -> None:
        self._tables, self._longest_hotword = fusion.tables, fusion.longest_hotword
        arrays = {name: value for name, value in self._tables._asdict().items() if isinstance(value, np.ndarray)}
        self._arrays = {name: torch.from_numpy(value).to(device) for name, value in arrays.items()}
        self._lm = NgramTensors.of(fusion.word_lm.lm, device) if fusion.word_lm else None
        self.starts_word = self._arrays["starts_word"]

    def hotword_step(self, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Next states of the hotwords, and what the tokens earn or lose."""
        tables, arrays = self._tables, self._arrays
        vocab = len(self.starts_word)
        child = _find(arrays["hotword_keys"], states * vocab + tokens)
        nodes = states
        for _ in range(self._longest_hotword):
            nodes = torch.where(child < 0, arrays["hotword_suffixes"][nodes], nodes)
            child = torch.where(child < 0, _find(arrays["hotword_keys"], nodes * vocab + tokens), child)
        following = child + 1
        credited = torch.where(self.starts_word[tokens], states, 0) if tables.at_boundary else following
        potentials = arrays["hotword_potentials"]
        return following, arrays["hotword_credits"][credited] + potentials[following] - potentials[states]

    def hotword_end(self, states: Tensor) -> Tensor:
        """What the end of the text earns: phrases under way have earned nothing."""
        lost = self._arrays["hotword_potentials"][states]
        return self._arrays["hotword_credits"][states] - lost if self._tables.at_boundary else -lost

    def word_end(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """The language model's states after the words with these hashes, and what their ends earn."""
        if self._lm is None:
            return states, torch.zeros_like(states, dtype=torch.float64)
        places = _find(self._arrays["word_digests"], words)
        ids = torch.where(places < 0, self._tables.unknown_word, self._arrays["word_ids"][places])
        log_probs, following = self._lm.steps(states, ids)
        earned = self._tables.lm_weight * log_probs.double() + self._tables.word_bonus
        return torch.where(words == 0, states, following), earned.masked_fill(words == 0, 0.0)

    def text_end(self, states: Tensor) -> Tensor:
        """What the end of the text earns after the language model's states."""
        if self._lm is None:
            return torch.zeros_like(states, dtype=torch.float64)
        log_probs, _ = self._lm.steps(states, torch.full_like(states, self._tables.end_of_text))
        return self._tables.lm_weight * log_probs.double()

    def longer_word(self, words: Tensor, tokens: Tensor) -> Tensor:
        """Hashes of the words under way with tokens after them, or of the words that the tokens begin."""
        digests = self._arrays["unit_digests"][tokens]
        return torch.where(self.starts_word[tokens], digests, words * self._arrays["unit_factors"][tokens] + digests)


def _find(keys: Tensor, wanted: Tensor) -> Tensor:
    """Places of keys among ascending ones, -1 where they are not there."""
    if not len(keys):
        return torch.full_like(wanted, -1)
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, places, -1)
