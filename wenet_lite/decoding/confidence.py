"""Confidence in words: what posteriors and n-best say, and how well it agrees with what is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenet_lite.decoding.words import WordSpan
from wenet_lite.scoring.wer import align


@dataclass(frozen=True)
class Evidence:
    """What is known of a word.

    Attributes:
        posterior: geometric mean over its tokens of the CTC posterior in the token's best frame.
        worst_posterior: the least of these posteriors.
        nbest_share: share of the n-best's probability whose hypotheses have the word at that place; None where
            there is no n-best.
    """

    posterior: float
    worst_posterior: float
    nbest_share: float | None = None

    @property
    def raw_confidence(self) -> float:
        """Confidence without calibration: the posterior, times the n-best share."""
        return self.posterior * (1.0 if self.nbest_share is None else self.nbest_share)


def word_evidence(words: Sequence[WordSpan], shares: Sequence[float] | None = None) -> list[Evidence]:
    """Evidence of each word of an aligned hypothesis.

    Args:
        words: of one utterance.
        shares: what `nbest_shares` says of each, if there is an n-best.
    """
    evidence = []
    for i, word in enumerate(words):
        peaks = [max(token.log_probs) for token in word.tokens]
        share = None if shares is None else shares[i]
        evidence.append(Evidence(math.exp(sum(peaks) / len(peaks)), math.exp(min(peaks)), share))
    return evidence


def nbest_shares(hyps: Sequence[Sequence[str]], scores: Sequence[float]) -> list[float]:
    """Share of the n-best's probability that has each word of the best hypothesis at its place.

    Args:
        hyps: words of each hypothesis, best first; places are matched by the alignment with the fewest errors.
        scores: log probability of each hypothesis, natural log, up to a constant.
    """
    weights = np.exp(np.asarray(scores) - max(scores))
    weights /= weights.sum()
    words = [list(hyp) for hyp in hyps]
    best = words[0]
    shares = np.zeros(len(best))
    for utterance, weight in zip(align([""] * len(hyps), [best] * len(hyps), words), weights):
        found = [ref == hyp for ref, hyp in utterance.pairs if ref]
        shares[np.array(found, dtype=bool)] += weight
    return np.minimum(shares, 1.0).tolist()


def correct_words(ref: Sequence[str], hyp: Sequence[str]) -> list[bool]:
    """Whether each word of a hypothesis is right, by the alignment with the fewest errors."""
    return [ref_word == hyp_word for ref_word, hyp_word in align([""], [list(ref)], [list(hyp)])[0].pairs if hyp_word]


@dataclass(frozen=True)
class ConfidenceBin:
    """Attributes:
    low, high: range of confidences.
    count: words in it.
    confidence: their mean confidence, 0 where there is none.
    accuracy: the part of them that is right, 0 where there is none.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How confidences and accuracy agree.

    Attributes:
        bins: of equal width, from 0 to 1.
    """

    bins: tuple[ConfidenceBin, ...]

    @property
    def expected_calibration_error(self) -> float:
        """Mean over words of |confidence - accuracy| of their bin (Guo et al., 2017, equation 3)."""
        total = sum(part.count for part in self.bins)
        return sum(part.count * abs(part.confidence - part.accuracy) for part in self.bins) / max(total, 1)

    def __str__(self) -> str:
        """A table with a line a bin that has words, and the error below."""
        lines = [
            f"{part.low:.2f}-{part.high:.2f} {part.count:>7} {part.confidence:>10.3f} {part.accuracy:>8.3f}"
            for part in self.bins
            if part.count
        ]
        error = f"expected calibration error {self.expected_calibration_error:.4f}"
        return "\n".join(["bin         words confidence accuracy", *lines, error])


def reliability(confidences: Sequence[float], correct: Sequence[bool], num_bins: int = 15) -> Reliability:
    """Sort words into bins of confidence."""
    values, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    places = np.minimum((values * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(places, minlength=num_bins)
    divisors = np.maximum(counts, 1)
    means = np.bincount(places, values, num_bins) / divisors
    accuracies = np.bincount(places, right, num_bins) / divisors
    columns = zip(counts.tolist(), means.tolist(), accuracies.tolist())
    return Reliability(tuple(ConfidenceBin(i / num_bins, (i + 1) / num_bins, *row) for i, row in enumerate(columns)))
