"""Phrases that a search is to listen for, as an Aho-Corasick automaton over units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DEFAULT_SCORE = 2.0
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


NODE = np.dtype(
    [(n, np.int64) for n in ("token", "first_child", "end_child", "suffix")]
    + [(n, np.float64) for n in ("potential", "credit")]
)
"""A prefix of a phrase:
token: its last one.
first_child, end_child: nodes of the prefixes that are longer by one, the end not included.
suffix: the longest other node that it ends with.
potential: what it has earned so far.
credit: sum of the scores of all phrases that it ends with.
"""


class HotwordGraph:
    """The automaton (Aho and Corasick, 1975) of a list of phrases.

    Node 0 is the root, every other node a prefix of a phrase; nodes are numbered by length, then by their parent and
    last token, so that `keys` ascend and the node of key i is i + 1. A prefix under way has a potential, which is lost
    again where the text goes on in another way; whole phrases have a credit, which stays.

    Args:
        hotwords: the phrases, with one token or more each.
        vocab_size: of the units.
    Attributes:
        nodes: (nodes,) NODE.
        begins: (vocab_size,) child of the root by each token, 0 where there is none.
        keys: (nodes - 1,) parent * vocab_size + last token.
        depth: tokens of the longest phrase.
    """

    def __init__(self, hotwords: Sequence[Hotword], vocab_size: int) -> None:
        self.depth = max((len(hotword.tokens) for hotword in hotwords), default=0)
        self._children: dict[tuple[int, int], int] = {}
        self._suffixes, potentials, credits = [0], [0.0], [0.0]
        places = [0] * len(hotwords)
        for depth in range(self.depth):
            reached = [i for i, hotword in enumerate(hotwords) if len(hotword.tokens) > depth]
            for parent, token in sorted({(places[i], hotwords[i].tokens[depth]) for i in reached}):
                suffix = self.step(self._suffixes[parent], token) if parent else 0
                self._children[parent, token] = len(self._suffixes)
                self._suffixes.append(suffix)
                potentials.append(0.0)
                credits.append(credits[suffix])
            earned: dict[int, float] = {}
            for i in reached:
                hotword = hotwords[i]
                places[i] = node = self._children[places[i], hotword.tokens[depth]]
                score = (depth + 1) * hotword.score
                # Never less than what its suffix has: a token adds at most the highest score.
                potentials[node] = max(potentials[node], score, potentials[self._suffixes[node]])
                if len(hotword.tokens) == depth + 1:
                    earned[node] = max(earned.get(node, 0.0), score)  # a phrase that is given twice counts once
            for node, score in earned.items():
                credits[node] += score
        self.keys = np.array([parent * vocab_size + token for parent, token in self._children], np.int64)
        self.nodes = np.zeros(len(self._suffixes), NODE)
        self.nodes["token"][1:] = [token for _, token in self._children]
        ends = 1 + np.searchsorted(self.keys, vocab_size * np.arange(len(self.nodes) + 1))
        self.nodes["first_child"], self.nodes["end_child"] = ends[:-1], ends[1:]
        self.nodes["suffix"], self.nodes["potential"], self.nodes["credit"] = self._suffixes, potentials, credits
        self.begins = np.zeros(vocab_size, np.int64)
        self.begins[self.nodes["token"][1 : ends[1]]] = np.arange(1, ends[1])

    def step(self, node: int, token: int) -> int:
        """Where a token leads from a node."""
        while (node, token) not in self._children:
            if node == 0:
                return 0
            node = self._suffixes[node]
        return self._children[node, token]

    def arcs(self) -> list[dict[int, int]]:
        """For each node the tokens that lead elsewhere than from the root, and where."""
        found: list[dict[int, int]] = [{}]
        for node in self.nodes[1:]:
            children = range(node["first_child"], node["end_child"])
            found.append(found[node["suffix"]] | {int(self.nodes["token"][child]): child for child in children})
        return found
