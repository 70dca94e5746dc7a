"""Bootstrap intervals of error rates, and of the difference between two systems (Bisani & Ney, 2004).

As many utterances as the set has are drawn from it with replacement, 10,000 times over, with a fixed seed; the errors
of a drawn set divided by its words are one draw of the rate. Utterances of one speaker resemble each other, which makes
such intervals too narrow: where there are 20 speakers or more, whole speakers are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wenet_lite.errors import DataError
from wenet_lite.scoring.wer import ErrorCounts, Scores

NUM_RESAMPLES = 10_000
FEWEST_SPEAKERS = 20
_BATCH = 100
_SEED = 777
_TAILS = (0.025, 0.975)

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Attributes:
    low, high: between which 95 % of the resampled rates lie, percent.
    drawn: what was drawn with replacement, "utterances" or "speakers".
    count: how many of them the set has.
    """

    low: float
    high: float
    drawn: str
    count: int

    def __str__(self) -> str:
        return f"95 % confidence interval {self.low:.2f} to {self.high:.2f} (bootstrap over {self.count} {self.drawn})"


@dataclass(frozen=True)
class Comparison:
    """Attributes:
    second: errors of the second system.
    difference: WER of the first system minus that of the second, in percent points.
    interval: of that difference.
    probability: that the first is better: the part of the resampled sets on which it has the lower WER.
    """

    second: ErrorCounts
    difference: float
    interval: Interval
    probability: float

    def __str__(self) -> str:
        return (
            f"difference {self.difference:+.2f}, {self.interval}, "
            f"probability that the first is better {self.probability:.3f}"
        )


def wer_interval(scores: Scores, utt2spk: Mapping[str, str] | None = None) -> Interval:
    """The 95 % confidence interval of the error rate.

    Args:
        scores: the aligned set.
        utt2spk: speaker of each utterance, for resampling by speaker where it names 20 or more.
    """
    errors = [utterance.counts.errors for utterance in scores.utterances]
    words = [utterance.counts.ref_words for utterance in scores.utterances]
    sums, drawn = _units_to_draw(scores, errors, words, utt2spk)
    return _interval(_resampled_rates(sums), drawn, len(sums))


def compare(first: Scores, second: Scores, utt2spk: Mapping[str, str] | None = None) -> Comparison:
    """The paired bootstrap: both systems are scored on the same drawn sets.

    Raises:
        DataError: if the two were not scored on the same references.
    """
    if [each.key for each in first.utterances] != [each.key for each in second.utterances]:
        raise DataError("systems that were scored on other utterances cannot be compared", cure="use --mode all")
    pairs = zip(first.utterances, second.utterances)
    excess = [one.counts.errors - other.counts.errors for one, other in pairs]
    words = [utterance.counts.ref_words for utterance in first.utterances]
    sums, drawn = _units_to_draw(first, excess, words, utt2spk)
    rates = _resampled_rates(sums)
    return Comparison(
        second=second.counts,
        difference=float(_rates(sums.sum(axis=0))),
        interval=_interval(rates, drawn, len(sums)),
        probability=float(np.mean(rates < 0)),
    )


def _units_to_draw(
    scores: Scores, errors: Sequence[int], words: Sequence[int], utt2spk: Mapping[str, str] | None
) -> tuple[IntArray, str]:
    """(units, 2) errors and words of each utterance, or of each speaker where they are enough; and what they are."""
    sums = np.array([errors, words], dtype=np.int64).T
    if utt2spk is not None:
        speakers = [utt2spk[utterance.key] for utterance in scores.utterances]
        names, index = np.unique(speakers, return_inverse=True)
        if len(names) >= FEWEST_SPEAKERS:
            by_speaker = np.zeros((len(names), 2), dtype=np.int64)
            np.add.at(by_speaker, index, sums)
            return by_speaker, "speakers"
    return sums, "utterances"


def _resampled_rates(sums: IntArray) -> FloatArray:
    """(NUM_RESAMPLES,) rates of sets drawn from the rows of `sums`, (units, 2), with replacement.

    Rows that are equal are drawn together: how often each distinct row comes is multinomial. A set of 100,000
    utterances has some hundreds of distinct rows.
    """
    distinct, multiplicity = np.unique(sums, axis=0, return_counts=True)
    generator = np.random.default_rng(_SEED)
    shares = multiplicity / len(sums)
    batches = range(NUM_RESAMPLES // _BATCH)
    return _rates(np.concatenate([generator.multinomial(len(sums), shares, _BATCH) @ distinct for _ in batches]))


def _rates(sums: IntArray) -> NDArray[Any]:
    """(...) percent of (..., 2) errors and words; infinite where errors meet no word, 0 where nothing meets none."""
    errors, words = sums[..., 0], sums[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors == 0, 0.0, 100 * errors / words)


def _interval(rates: FloatArray, drawn: str, count: int) -> Interval:
    low, high = np.quantile(rates, _TAILS, method="inverted_cdf")  # does not interpolate: rates may be infinite
    return Interval(float(low), float(high), drawn, count)
