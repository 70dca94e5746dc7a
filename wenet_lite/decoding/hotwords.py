"""Phrases that a search is to listen for, as an Aho-Corasick automaton over units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DEFAULT_SCORE = 3.0
"""Earned by each unit of a phrase, natural log."""


@dataclass(frozen=True)
class Hotword:
    """Attributes:
    text: the phrase.
    tokens: its unit ids.
    score: earned by each of them, natural log.
    """

    text: str
    tokens: tuple[int, ...]
    score: float = DEFAULT_SCORE


class HotwordGraph:
    """The automaton (Aho and Corasick, 1975) of a list of phrases.

    Node 0 is the root, every other node a prefix of a phrase; nodes are numbered by length, then by their parent and
    last token, so that `keys` ascend and the node of key i is i + 1. A prefix under way has a potential, which is lost
    again where the text goes on in another way; whole phrases have a credit, which stays.

    Args:
        hotwords: the phrases, with one token or more each.
        vocab_size: of the units.
    Attributes:
        keys: (nodes - 1,) parent * vocab_size + last token.
        suffixes: (nodes,) the longest other node that the prefix ends with.
        potentials: (nodes,) score of a prefix.
        credits: (nodes,) sum of the scores of all phrases that the prefix ends with.
        in_hotwords: (vocab_size,) whether a unit is in any phrase.
    """

    def __init__(self, hotwords: Sequence[Hotword], vocab_size: int) -> None:
        self.in_hotwords = np.zeros(vocab_size, np.bool_)
        for hotword in hotwords:
            self.in_hotwords[list(hotword.tokens)] = True
        keys: list[int] = []
        self._nodes: dict[tuple[int, int], int] = {}
        self._suffixes, potentials, credits = [0], [0.0], [0.0]
        places = [0] * len(hotwords)
        for depth in range(max((len(hotword.tokens) for hotword in hotwords), default=0)):
            reached = [i for i, hotword in enumerate(hotwords) if len(hotword.tokens) > depth]
            arcs = sorted({(places[i], hotwords[i].tokens[depth]) for i in reached})
            for parent, token in arcs:
                suffix = self.step(self._suffixes[parent], token) if parent else 0
                self._nodes[parent, token] = len(self._suffixes)
                keys.append(parent * vocab_size + token)
                self._suffixes.append(suffix)
                potentials.append(0.0)
                credits.append(credits[suffix])
            for i in reached:
                parent, hotword = places[i], hotwords[i]
                places[i] = node = self._nodes[parent, hotword.tokens[depth]]
                potentials[node] = max(potentials[node], potentials[parent] + hotword.score)
            # A phrase that begins another one, or that is given twice, counts once.
            ends = {places[i] for i in reached if len(hotwords[i].tokens) == depth + 1}
            for node in ends:
                credits[node] += potentials[node]
        self.keys = np.array(keys, np.int64)
        self.suffixes, self.potentials, self.credits = np.array(self._suffixes), np.array(potentials), np.array(credits)

    def step(self, node: int, token: int) -> int:
        """Where a token leads from a node."""
        while (node, token) not in self._nodes:
            if node == 0:
                return 0
            node = self._suffixes[node]
        return self._nodes[node, token]
