"""Estimation of n-gram language models: interpolated modified Kneser-Ney smoothing (Chen and Goodman, 1998)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from wenet_lite.decoding.ngram import SENTENCE_START, Floats, Ints, NgramLm
from wenet_lite.decoding.ngram_building import unigram_lm, with_order
from wenet_lite.decoding.ngram_counts import NgramCounts, count_ngrams, encode_corpus

_LOG = logging.getLogger(__name__)

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where a text is too small or too regular to tell the discounts; KenLM's choice too."""
_NEVER_PREDICTED = -99 * math.log(10)  # what SRILM writes for <s>


@dataclass(frozen=True)
class EstimationOptions:
    """Attributes:
    order: words of the longest n-grams.
    prune: for each order from 1, n-grams that occur at most so often are left out; the last one holds for the
        orders above. Single words are not pruned: `vocab_size` and `min_count` leave them out.
    vocab_size: most words that are kept, without the special ones; the others are `<unk>`. Null: all.
    min_count: words that occur less often are `<unk>`.
    """

    order: int = 3
    prune: tuple[int, ...] = (0,)
    vocab_size: int | None = None
    min_count: int = 1

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError("order must be at least 1")
        if not self.prune or self.prune[0] != 0:
            raise ValueError("prune must begin with 0: single words are left out by vocab_size or min_count")
        if list(self.prune) != sorted(self.prune) or len(self.prune) > self.order:
            raise ValueError("prune must not descend from an order to the next, nor have more values than orders")
        if self.vocab_size is not None and self.vocab_size < 1:
            raise ValueError("vocab_size must be at least 1")

    def threshold(self, order: int) -> int:
        """Occurrences up to which n-grams of an order are left out."""
        return self.prune[min(order, len(self.prune)) - 1]


def estimate_lm(sentences: Iterable[str], options: EstimationOptions) -> NgramLm:
    """Estimate a model.

    With a(g) as n-gram g's count (below the highest order: the number of different words before it, unless it begins
    with `<s>`), p(w | h) = (a(hw) - D(a(hw))) / sum_v a(hv) + gamma(h) p(w | h without its first word), and gamma is
    such that probabilities sum to 1. The mass of pruned n-grams goes to gamma. Below single words lies the uniform
    distribution over all words but `<s>`: so `<unk>` has a share of it, besides what words outside the vocabulary
    have. The text and some 50 bytes a word of it are held in memory.

    Args:
        sentences: words with blanks between them, without `<s>` and `</s>`.
        options: order, vocabulary and pruning.
    Returns:
        the model; its order is lower than asked for where no sentence is so long.
    Raises:
        DataError: if there is no word, or one is `<s>` or `</s>`.
    """
    corpus = encode_corpus(sentences, options.vocab_size, options.min_count)
    counted = count_ngrams(corpus, options.order)
    start = corpus.index(SENTENCE_START)
    adjusted = adjusted_counts(counted, start)
    probs, weights = _interpolate(counted, adjusted, options)
    log_probs = np.log(probs[0])
    log_probs[start] = _NEVER_PREDICTED
    lm = unigram_lm(corpus.words, log_probs, np.log(weights[0]))
    nodes = np.arange(len(corpus.words)) + 1
    for order, (level, prob, weight) in enumerate(zip(counted[1:], probs[1:], weights[1:]), 2):
        kept = level.counts > options.threshold(order)
        first = lm.order_starts[-1]
        # What is kept has its context kept, for that occurs as often at least.
        keys = nodes[level.parents[kept]] * lm.vocab_size + level.words[kept]
        lm = with_order(lm, keys, np.log(prob[kept]), np.log(weight[kept]))
        nodes = first - 1 + kept.cumsum()
    return lm


def adjusted_counts(counted: list[NgramCounts], start: int) -> list[Ints]:
    """Counts of each order as Kneser and Ney adjust them; 0 for the word `<s>`, whose id is `start`."""
    adjusted = []
    from_start = counted[0].words == start
    for level, longer in zip(counted, [*counted[1:], None]):
        if level is not counted[0]:
            from_start = from_start[level.parents]
        if longer is None:
            adjusted.append(level.counts.copy())
        else:
            different_words_before = np.bincount(longer.suffixes, minlength=len(level.counts))
            adjusted.append(np.where(from_start, level.counts, different_words_before))
    adjusted[0][start] = 0
    return adjusted


def discounts(counts: Ints) -> tuple[float, float, float]:
    """D1, D2 and D3+ of an order (Chen and Goodman, 1998, equation 26), or `FALLBACK_DISCOUNTS`.

    The latter where no n-gram has a count of 1, 2 or 3, or a discount Dn is not between 0 and n.
    """
    n1, n2, n3, n4 = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if not n1 or not n2 or not n3:
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 <= discount <= n for n, discount in enumerate(found, 1)) else FALLBACK_DISCOUNTS


def _interpolate(
    counted: list[NgramCounts], adjusted: list[Ints], options: EstimationOptions
) -> tuple[list[Floats], list[Floats]]:
    """Probabilities and back-off weights of all n-grams of each order."""
    probs = [np.array([1 / (len(counted[0].words) - 1)])]
    weights = []
    for order, (level, counts) in enumerate(zip(counted, adjusted), 1):
        by_count = discounts(counts)
        if by_count == FALLBACK_DISCOUNTS:
            _LOG.warning("the text does not tell the discounts of order %d: %s are taken", order, FALLBACK_DISCOUNTS)
        kept = level.counts > options.threshold(order)
        freed = np.where(kept, np.array([0.0, *by_count])[counts.clip(max=3)], counts)
        num_contexts = len(probs[-1])
        totals = np.bincount(level.parents, counts, num_contexts)
        freed_totals = np.bincount(level.parents, freed, num_contexts)
        weights.append(np.divide(freed_totals, totals, out=np.ones(num_contexts), where=totals > 0))
        own = (counts - freed) / totals[level.parents]
        probs.append(own + weights[-1][level.parents] * probs[-1][level.suffixes])
    return probs[1:], [*weights[1:], np.ones(len(probs[-1]))]
