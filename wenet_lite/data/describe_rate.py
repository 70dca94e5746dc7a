"""Transcripts that do not fit the length of their audio, told by their characters a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenet_lite.data.utterance import Utterance

_MAD_OF_A_NORMAL = 0.6745


@dataclass(frozen=True)
class RateRule:
    """Which rates of characters a second are out of range.

    A rate is suspect where its logarithm lies more than `num_deviations` robust standard deviations (the median
    absolute deviation from the set's median, divided by 0.6745; Iglewicz and Hoaglin, 1993) from the median of the
    set, or where it lies outside of the absolute bounds, which no speech in any script crosses. The logarithm, as
    rates are skewed, and as half and double are equally wrong; the median, as wrong transcripts must not widen the
    range.

    Attributes:
        num_deviations: robust standard deviations that are allowed.
        min_deviation: the standard deviation is taken to be at least this, natural log: a set in which all speak
            alike has no outliers because of that.
        slowest, fastest: absolute bounds, characters a second.
    """

    num_deviations: float = 5.0
    min_deviation: float = 0.1
    slowest: float = 0.3
    fastest: float = 40.0

    def range_of(self, rates: np.ndarray) -> tuple[float, float]:
        """The lowest and the highest rate that are not suspect, given (utterances,) rates above 0."""
        if not len(rates):
            return self.slowest, self.fastest
        logs = np.log(rates)
        median = float(np.median(logs))
        deviation = max(float(np.median(np.abs(logs - median))) / _MAD_OF_A_NORMAL, self.min_deviation)
        reach = self.num_deviations * deviation
        return max(float(np.exp(median - reach)), self.slowest), min(float(np.exp(median + reach)), self.fastest)


@dataclass(frozen=True)
class SuspectTranscript:
    """Attributes:
    key: utterance id.
    rate: characters a second.
    duration: seconds.
    txt: the transcript.
    reason: in words.
    """

    key: str
    rate: float
    duration: float
    txt: str
    reason: str


@dataclass(frozen=True)
class SuspectTranscripts:
    """Attributes:
    slowest, fastest: the range outside of which a rate is suspect, characters a second.
    count: suspect utterances.
    worst: those furthest from the median rate; first those without a character.
    """

    slowest: float
    fastest: float
    count: int
    worst: tuple[SuspectTranscript, ...]


def suspect_transcripts(utterances: Sequence[Utterance], rates: np.ndarray, number: int) -> SuspectTranscripts:
    """Find the transcripts whose rate is out of range, as `RateRule` has it.

    Args:
        utterances: of one set.
        rates: (utterances,) characters a second.
        number: how many are listed.
    """
    spoken = rates[rates > 0]
    slowest, fastest = RateRule().range_of(spoken)
    median = float(np.median(spoken)) if len(spoken) else 1.0
    distances = np.full(len(rates), np.inf)
    distances[rates > 0] = np.abs(np.log(spoken / median))
    suspects = np.flatnonzero((rates < slowest) | (rates > fastest))
    worst = suspects[np.argsort(-distances[suspects], kind="stable")][:number]
    return SuspectTranscripts(
        slowest,
        fastest,
        count=len(suspects),
        worst=tuple(_suspect(utterances[i], float(rates[i]), median) for i in worst),
    )


def _suspect(utterance: Utterance, rate: float, median: float) -> SuspectTranscript:
    if rate == 0:
        reason = "is empty"
    elif rate > median:
        reason = f"{rate / median:.1f} times the median rate"
    else:
        reason = f"1/{median / rate:.1f} of the median rate"
    return SuspectTranscript(utterance.key, rate, utterance.duration, utterance.txt, reason)
