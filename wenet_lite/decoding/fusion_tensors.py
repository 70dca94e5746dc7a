"""What hotwords and a language model add to prefixes, as operations on tensors of any device."""

from __future__ import annotations

import torch
from torch import Tensor

from wenet_lite.decoding.fusion import Fusion
from wenet_lite.decoding.ngram_tensors import NgramTensors


class FusionTensors:
    """The steps of `fusion_kernel` for tensors of one shape.

    Args:
        fusion: hotwords and language model.
        device: of the tensors.
    Attributes:
        starts_word: (vocab,) whether a unit begins a word.
    """

    def __init__(self, fusion: Fusion, device: torch.device) -> None:
        tables, nodes, units = fusion.tables, fusion.tables.nodes, fusion.tables.units
        self._at_boundary, self._words, self._depth = tables.at_boundary, tables.words, fusion.graph.depth
        self.starts_word, self._unit_digests, self._unit_factors = (
            torch.tensor(units[name].copy(), device=device) for name in ("starts_word", "digest", "factor")
        )
        self._suffixes, self._potentials, self._credits = (
            torch.tensor(nodes[name].copy(), device=device) for name in ("suffix", "potential", "credit")
        )
        self._keys, self._word_digests, self._word_ids = (
            torch.from_numpy(array).to(device) for array in (fusion.graph.keys, tables.words.digests, tables.words.ids)
        )
        self._lm = NgramTensors.of(fusion.word_lm.lm, device) if fusion.word_lm else None

    def hotword_step(self, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Next states of the hotwords, and what the tokens earn or lose."""
        vocab, nodes = len(self.starts_word), states
        child = _find(self._keys, states * vocab + tokens)
        for _ in range(self._depth):
            nodes = torch.where(child < 0, self._suffixes[nodes], nodes)
            child = torch.where(child < 0, _find(self._keys, nodes * vocab + tokens), child)
        following = child + 1
        kept = self._credits[following]
        if self._at_boundary:
            kept = self._credits[states].masked_fill(~self.starts_word[tokens], 0.0)
        return following, kept + self._potentials[following] - self._potentials[states]

    def word_end(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """The language model's states after the words with these hashes, and what their ends earn."""
        if self._lm is None:
            return states, torch.zeros_like(states, dtype=torch.float64)
        places = _find(self._word_digests, words)
        ids = torch.where(places < 0, self._words.unknown, self._word_ids[places])
        log_probs, following = self._lm.steps(states, ids)
        earned = self._words.weight * log_probs.double() + self._words.bonus
        return torch.where(words == 0, states, following), earned.masked_fill(words == 0, 0.0)

    def text_end(self, contexts: Tensor, lm_states: Tensor) -> Tensor:
        """What the end of the text earns after these states of the hotwords and of the language model."""
        earned = -self._potentials[contexts]
        if self._at_boundary:
            earned = earned + self._credits[contexts]
        if self._lm is not None:
            log_probs, _ = self._lm.steps(lm_states, torch.full_like(lm_states, self._words.end_of_text))
            earned = earned + self._words.weight * log_probs.double()
        return earned

    def longer_word(self, words: Tensor, tokens: Tensor) -> Tensor:
        """Hashes of the words under way with tokens after them, or of the words that the tokens begin."""
        digests = self._unit_digests[tokens]
        return torch.where(self.starts_word[tokens], digests, words * self._unit_factors[tokens] + digests)


def _find(keys: Tensor, wanted: Tensor) -> Tensor:
    """Places of keys among ascending ones, -1 where they are not there."""
    if not len(keys):
        return torch.full_like(wanted, -1)
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, places, -1)
