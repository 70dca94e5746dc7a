"""What hotwords and a language model add to hypotheses, as operations on tensors of any device."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from wenet_lite.decoding.fusion import Fusion
from wenet_lite.decoding.ngram_tensors import NgramTensors

States = TypeVar("States", bound="FusionStates")


@dataclass(frozen=True)
class FusionStates:
    """How far hotwords and language model have read hypotheses; (batch, hypotheses) each.

    Attributes:
        extra: what they have added to the scores, natural log, in double precision.
        context: states of the hotwords.
        lm_state: states of the language model before the words under way.
        word: hashes of these words; 0 where there is none.
        end_state: states of the language model after these words.
        end_gain: what the ends of these words will add.
    """

    extra: Tensor
    context: Tensor
    lm_state: Tensor
    word: Tensor
    end_state: Tensor
    end_gain: Tensor

    def at(self: States, places: Tensor) -> States:
        """Those at (batch, chosen) places."""
        return type(self)(*(getattr(self, field.name).gather(1, places) for field in fields(self)))

    def where(self: States, chosen: Tensor, other: States) -> States:
        """These where `chosen`, else the others."""
        names = [field.name for field in fields(self)]
        return type(self)(*(torch.where(chosen, getattr(self, name), getattr(other, name)) for name in names))

    def of(self: States, utterances: Tensor) -> States:
        """Those of some utterances, by their indices."""
        return type(self)(*(getattr(self, field.name)[utterances] for field in fields(self)))


class FusionTensors:
    """`Fusion` for a search in tensors. Where there is nothing to score, states stay what they are at no cost.

    Args:
        fusion: hotwords and language model.
        device: of the tensors.
    Attributes:
        active: whether there is anything to score.
    """

    def __init__(self, fusion: Fusion, device: torch.device) -> None:
        tables, nodes, units = fusion.tables, fusion.tables.nodes, fusion.tables.units
        self.active, self._device = tables.active, device
        self._at_boundary, self._words, self._depth = tables.at_boundary, tables.words, fusion.graph.depth
        self._hotword_start = tables.hotword_start
        self._starts_word, self._unit_digests, self._unit_factors = (
            torch.tensor(units[name].copy(), device=device) for name in ("starts_word", "digest", "factor")
        )
        self._suffixes, self._potentials, self._credits = (
            torch.tensor(nodes[name].copy(), device=device) for name in ("suffix", "potential", "credit")
        )
        self._keys, self._word_digests, self._word_ids = (
            torch.from_numpy(array).to(device) for array in (fusion.graph.keys, tables.words.digests, tables.words.ids)
        )
        self._lm = NgramTensors.of(fusion.word_lm.lm, device) if fusion.word_lm else None
        held = self._potentials if self._at_boundary else self._potentials + self._credits
        from_root = held[torch.from_numpy(tables.begins).to(device)]
        self._from_root = from_root.float()
        self._arc_tokens, arcs = (table.to(device) for table in _padded(fusion.graph.arcs()))
        self._arc_gains = (held[arcs] - from_root[self._arc_tokens]).masked_fill(arcs == 0, 0.0).float()

    def start(self, batch: int, hypotheses: int) -> FusionStates:
        """States of empty hypotheses."""
        zero = torch.zeros(batch, hypotheses, dtype=torch.long, device=self._device)
        extra, lm_state = zero + self._potentials[self._hotword_start], zero + self._words.start
        return FusionStates(extra, zero + self._hotword_start, lm_state, zero, lm_state, zero.double())

    def whole(self, states: FusionStates) -> Tensor:
        """(batch, hypotheses) `extra` if the texts end here."""
        if not self.active:
            return states.extra
        earned = states.extra + self._word_end_gain(states) - self._potentials[states.context]
        if self._lm is not None:
            log_probs, _ = self._lm.steps(states.end_state, torch.full_like(states.end_state, self._words.end_of_text))
            earned = earned + self._words.weight * log_probs.double()
        return earned

    def extended(self, states: FusionStates, tokens: Tensor) -> Tensor:
        """(batch, hypotheses, tokens) `extra` after one of these tokens more."""
        if not self.active:
            return states.extra.unsqueeze(2).expand_as(tokens)
        _, gain = self._hotword_step(states.context.unsqueeze(2).expand_as(tokens), tokens)
        due = torch.where(self._starts_word[tokens], states.end_gain.unsqueeze(2), 0.0)
        return states.extra.unsqueeze(2) + gain + due

    def favoured(self, log_probs: Tensor, states: FusionStates, end_id: int) -> Tensor:
        """Log probabilities of all next tokens with what each adds to `extra`.

        Args:
            log_probs: (batch, hypotheses, vocab), natural log.
            states: of the hypotheses.
            end_id: token that ends a text.
        """
        if not self.active:
            return log_probs
        lost, due = self._potentials[states.context].unsqueeze(2).float(), self._word_end_gain(states).unsqueeze(2)
        gains = torch.where(self._starts_word, due.float() - lost, -lost) + self._from_root
        gains.scatter_add_(2, self._arc_tokens[states.context], self._arc_gains[states.context])
        gains[:, :, end_id] = (self.whole(states) - states.extra).float()
        return log_probs + gains

    def extend(
        self, states: FusionStates, parents: Tensor, tokens: Tensor, ended: Tensor | None = None
    ) -> FusionStates:
        """States of hypotheses that go on.

        Args:
            states: of (batch, hypotheses).
            parents: (batch, chosen) which hypotheses go on.
            tokens: (batch, chosen) by which tokens.
            ended: (batch, chosen), true where a hypothesis has ended, so that its state stays what it is.
        """
        if not self.active:
            return states
        old = states.at(parents)
        context, gain = self._hotword_step(old.context, tokens)
        starts_word, digests = self._starts_word[tokens], self._unit_digests[tokens]
        lm_state = torch.where(starts_word, old.end_state, old.lm_state)
        word = torch.where(starts_word, digests, old.word * self._unit_factors[tokens] + digests)
        extra = old.extra + gain + torch.where(starts_word, old.end_gain, 0.0)
        new = FusionStates(extra, context, lm_state, word, *self._word_end(lm_state, word))
        return new if ended is None else old.where(ended, new)

    def _hotword_step(self, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Next states of the hotwords, and what the tokens earn or lose."""
        vocab, nodes = len(self._starts_word), states
        child = _find(self._keys, states * vocab + tokens)
        for _ in range(self._depth):
            nodes = torch.where(child < 0, self._suffixes[nodes], nodes)
            child = torch.where(child < 0, _find(self._keys, nodes * vocab + tokens), child)
        following = child + 1
        kept = self._credits[following]
        if self._at_boundary:
            kept = self._credits[states].masked_fill(~self._starts_word[tokens], 0.0)
        return following, kept + self._potentials[following] - self._potentials[states]

    def _word_end(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """The language model's states after the words with these hashes, and what their ends earn."""
        if self._lm is None:
            return states, torch.zeros_like(states, dtype=torch.float64)
        places = _find(self._word_digests, words)
        ids = torch.where(places < 0, self._words.unknown, self._word_ids[places])
        log_probs, following = self._lm.steps(states, ids)
        earned = self._words.weight * log_probs.double() + self._words.bonus
        return torch.where(words == 0, states, following), earned.masked_fill(words == 0, 0.0)

    def _word_end_gain(self, states: FusionStates) -> Tensor:
        """What the ends of the words under way earn, by the hotwords too."""
        return states.end_gain + self._credits[states.context] if self._at_boundary else states.end_gain


@functools.lru_cache(maxsize=2)
def fusion_tensors(fusion: Fusion, device: torch.device) -> FusionTensors:
    """The same tensors for one batch after the other: a language model is large."""
    return FusionTensors(fusion, device)


def _padded(arcs: list[dict[int, int]]) -> tuple[Tensor, Tensor]:
    """(nodes, most arcs) tokens and the nodes they lead to, both 0 where there are no more."""
    tables = torch.zeros(2, len(arcs), max(map(len, arcs)), dtype=torch.long)
    for node, of_node in enumerate(arcs):
        tables[:, node, : len(of_node)] = torch.tensor([list(of_node), list(of_node.values())])
    return tables[0], tables[1]


def _find(keys: Tensor, wanted: Tensor) -> Tensor:
    """Places of keys among ascending ones, -1 where they are not there."""
    if not len(keys):
        return torch.full_like(wanted, -1)
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, places, -1)
