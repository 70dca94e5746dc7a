"""Back-off n-gram language models as automata in flat arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

SENTENCE_START, SENTENCE_END, UNKNOWN_WORD = "<s>", "</s>", "<unk>"

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TEXTS_AT_ONCE = 10_000


@dataclass(frozen=True)
class TextScore:
    """How well a language model foretells a text. Log probabilities are natural ones, summed.

    Attributes:
        num_sentences: sentences, each of which has one end to foretell.
        num_words: words without the ends.
        num_unknown: words that the model does not have.
        log_prob: of all words and ends.
        unknown_log_prob: the part of it that is due to unknown words.
    """

    num_sentences: int
    num_words: int
    num_unknown: int
    log_prob: float
    unknown_log_prob: float

    @property
    def perplexity(self) -> float:
        """Of a word or end, unknown words included."""
        return _perplexity(self.log_prob, self.num_words + self.num_sentences)

    @property
    def known_perplexity(self) -> float:
        """Of a known word or an end: what SRILM's `ppl` and KenLM's `excluding OOVs` are."""
        known = self.num_words - self.num_unknown + self.num_sentences
        return _perplexity(self.log_prob - self.unknown_log_prob, known)

    @property
    def oov_rate(self) -> float:
        """Unknown words in percent of all words."""
        return 100 * self.num_unknown / max(self.num_words, 1)


@dataclass(frozen=True, eq=False)
class NgramLm:
    """A back-off n-gram model: every n-gram is a node of a tree, and a state of the search is a node.

    Node 0 is the empty context and node `word + 1` is a word alone. Nodes are numbered order by order and, within
    an order, ascending by (node of the n-gram without its last word, last word). So `keys` ascends, and the child of
    `node` by `word` is found by a binary search for `node * vocab_size + word`: at position `child - 1`. Where there
    is no child, the back-off weight of `node` is added and the search goes on at `suffixes[node]`; node 0 has all
    words as children, so that it ends.

    Attributes:
        words: id of each word, ascending with the words; `<s>`, `</s>` and `<unk>` are among them.
        keys: int64 (nodes - 1,).
        log_probs: float32 (nodes,) natural log p(last word | words before).
        backoffs: float32 (nodes,) natural log of the back-off weight, 0 where an n-gram is no context.
        suffixes: int32 (nodes,) node of the longest n-gram there is that the n-gram without its first word ends in.
        order_starts: first node of each order from 1, then the number of nodes.
    """

    words: dict[str, int]
    keys: Ints
    log_probs: npt.NDArray[np.float32]
    backoffs: npt.NDArray[np.float32]
    suffixes: npt.NDArray[np.int32]
    order_starts: tuple[int, ...]

    @property
    def vocab_size(self) -> int:
        """Words, the special ones included."""
        return len(self.words)

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self.order_starts) - 1

    @property
    def num_ngrams(self) -> tuple[int, ...]:
        """Number of n-grams of each order."""
        return tuple(end - start for start, end in zip(self.order_starts, self.order_starts[1:]))

    @property
    def num_states(self) -> int:
        """States are smaller than this: after an n-gram of the highest order, only its suffix matters."""
        return self.order_starts[-2]

    @cached_property
    def unknown(self) -> int:
        """Id of `<unk>`."""
        return self.words[UNKNOWN_WORD]

    @cached_property
    def start(self) -> int:
        """State after `<s>`."""
        return self.words[SENTENCE_START] + 1 if self.order > 1 else 0

    def index(self, word: str) -> int:
        """Id of a word, that of `<unk>` where the model lacks it."""
        return self.words.get(word, self.unknown)

    def steps(self, states: Ints, words: Ints) -> tuple[npt.NDArray[np.float32], Ints]:
        """Go on by words, each from its state.

        Args:
            states: int64, each `start` or what a step returned.
            words: int64 ids, of the same shape.
        Returns:
            natural log p(word | state) and the next states, of that shape.
        """
        log_probs, nodes = walk(self, states, words, np)
        return log_probs, np.where(nodes < self.num_states, nodes, self.suffixes[nodes])

    def score(self, texts: Sequence[str]) -> Floats:
        """Natural log probability of each text with its end, (texts,)."""
        return self._sums(texts).sum(axis=1)

    def evaluate(self, texts: Sequence[str]) -> TextScore:
        """Log probability, perplexity and unknown words of a text, sentence by sentence."""
        known_words, unknown_words, ends = self._sums(texts).sum(axis=0).tolist() if texts else (0.0, 0.0, 0.0)
        words = [word for text in texts for word in text.split()]
        return TextScore(
            num_sentences=len(texts),
            num_words=len(words),
            num_unknown=sum(self.index(word) == self.unknown for word in words),
            log_prob=known_words + unknown_words + ends,
            unknown_log_prob=unknown_words,
        )

    def _sums(self, texts: Sequence[str]) -> Floats:
        """Log probabilities of each text's known words, of its unknown words and of its end: (texts, 3)."""
        remaining = iter(texts)
        blocks = [np.zeros((0, 3))]
        while block := list(islice(remaining, _TEXTS_AT_ONCE)):
            blocks.append(self._sums_of_block(block))
        return np.concatenate(blocks)

    def _sums_of_block(self, texts: Sequence[str]) -> Floats:
        end = self.words[SENTENCE_END]
        ids = [[*map(self.index, text.split()), end] for text in texts]
        lens = np.array([len(row) for row in ids])
        padded = np.zeros((len(ids), lens.max()), dtype=np.int64)
        padded[np.arange(padded.shape[1]) < lens[:, None]] = [word for row in ids for word in row]
        sums = np.zeros((len(ids), 3))
        states = np.full(len(ids), self.start, dtype=np.int64)
        for position in range(padded.shape[1]):
            going = np.flatnonzero(position < lens)
            words = padded[going, position]
            log_probs, states[going] = self.steps(states[going], words)
            kinds = np.where(position + 1 == lens[going], 2, words == self.unknown)
            sums[going, kinds] += log_probs
        return sums


def walk(lm: Any, states: Any, words: Any, library: ModuleType) -> tuple[Any, Any]:
    """Follow back-offs from states until a child by the word is found.

    Args:
        lm: a model whose arrays are of `library`.
        states, words: int64 arrays of one shape.
        library: numpy or torch.
    Returns:
        natural log p(word | state) and the child's node, of the same shape.
    """
    nodes = states
    log_probs = library.zeros_like(states, dtype=lm.log_probs.dtype)
    found = states < 0
    for _ in range(lm.order):
        keys = nodes * lm.vocab_size + words
        children = library.clip(library.searchsorted(lm.keys, keys), 0, len(lm.keys) - 1)
        is_child = lm.keys[children] == keys
        children = children + 1
        gained = library.where(is_child, lm.log_probs[children], lm.backoffs[nodes])
        log_probs = library.where(found, log_probs, log_probs + gained)
        nodes = library.where(found, nodes, library.where(is_child, children, lm.suffixes[nodes]))
        found = found | is_child
    return log_probs, nodes


def _perplexity(log_prob: float, count: int) -> float:
    return math.exp(-log_prob / count) if count else math.nan
