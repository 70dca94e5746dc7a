"""Building of an n-gram automaton, order by order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wenet_lite.decoding.ngram import Ints, NgramLm, walk

Reals = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_SUFFIXES_AT_ONCE = 200_000


class RepeatedNgramError(ValueError):
    """An n-gram that occurs twice in an order.

    Attributes:
        row: the second one's row in what was to be added.
    """

    def __init__(self, row: int) -> None:
        super().__init__(f"row {row} has an n-gram a second time")
        self.row = row


def unigram_lm(words: Sequence[str], log_probs: npt.ArrayLike, backoffs: npt.ArrayLike) -> NgramLm:
    """A model of single words, to which orders are added.

    Args:
        words: in ascending order, each once; `<s>`, `</s>` and `<unk>` among them.
        log_probs, backoffs: (words,) natural logs.
    """
    return NgramLm(
        words={word: index for index, word in enumerate(words)},
        keys=np.arange(len(words), dtype=np.int64),
        log_probs=np.append(0.0, log_probs).astype(np.float32),
        backoffs=np.append(0.0, backoffs).astype(np.float32),
        suffixes=np.zeros(len(words) + 1, dtype=np.int32),
        order_starts=(1, len(words) + 1),
    )


def with_order(lm: NgramLm, keys: Ints, log_probs: Reals, backoffs: Reals) -> NgramLm:
    """The model with the n-grams that are a word longer than those it has, in any order.

    Args:
        lm: a model of all shorter n-grams.
        keys: (n-grams,) node of the n-gram without its last word * `lm.vocab_size` + last word.
        log_probs, backoffs: (n-grams,) natural logs.
    Raises:
        RepeatedNgramError: if an n-gram occurs twice.
    """
    ascending = np.argsort(keys, kind="stable")
    keys = keys[ascending]
    repeated = np.flatnonzero(keys[1:] == keys[:-1])
    if len(repeated):
        raise RepeatedNgramError(int(ascending[repeated + 1].min()))
    suffixes = np.empty(len(keys), dtype=np.int32)
    for start in range(0, len(keys), _SUFFIXES_AT_ONCE):
        part = slice(start, start + _SUFFIXES_AT_ONCE)
        parents, words = np.divmod(keys[part], lm.vocab_size)
        # The longest suffix of "a b c" is that of "a b", or one of its suffixes in turn, with "c".
        suffixes[part] = walk(lm, lm.suffixes[parents].astype(np.int64), words, np)[1]
    return replace(
        lm,
        keys=np.concatenate((lm.keys, keys)),
        log_probs=np.concatenate((lm.log_probs, log_probs[ascending].astype(np.float32))),
        backoffs=np.concatenate((lm.backoffs, backoffs[ascending].astype(np.float32))),
        suffixes=np.concatenate((lm.suffixes, suffixes)),
        order_starts=(*lm.order_starts, lm.order_starts[-1] + len(keys)),
    )


def find_nodes(lm: NgramLm, ngrams: Ints) -> Ints:
    """Nodes of n-grams, (n-grams, words) of ids; 0 where the model does not have one."""
    nodes = ngrams[:, 0] + 1
    for words in ngrams.T[1:]:
        keys = nodes * lm.vocab_size + words
        children = np.searchsorted(lm.keys, keys).clip(max=len(lm.keys) - 1)
        nodes = np.where((lm.keys[children] == keys) & (nodes > 0), children + 1, 0)
    return nodes
