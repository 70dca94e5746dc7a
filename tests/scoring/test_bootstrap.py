"""Intervals are the quantiles of all resamples that there are, and two systems are compared on the same ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from transcripts import scores_of

from wenet_lite.errors import DataError
from wenet_lite.scoring.bootstrap import compare, wer_interval
from wenet_lite.scoring.wer import Scores

# five words each but for the third; 0, 2, 3 and 0 errors
FIRST = scores_of(("a b c d e", "a b c d e"), ("a b c d e", "a b x y e"), ("a b c", ""), ("f g h i j", "f g h i j"))
SECOND = scores_of(("a b c d e", "a b c d x"), ("a b c d e", "a b x y z"), ("a b c", "a"), ("f g h i j", "f g h i j"))


def all_resamples(errors: list[int], words: list[int]) -> list[float]:
    """The rate of each of the n ** n equally probable resamples, in order."""
    picks = itertools.product(range(len(words)), repeat=len(words))
    return sorted(100 * sum(errors[i] for i in pick) / sum(words[i] for i in pick) for pick in picks)


def figures(scores: Scores) -> tuple[list[int], list[int]]:
    return [u.counts.errors for u in scores.utterances], [u.counts.ref_words for u in scores.utterances]


@pytest.mark.parametrize("scores", [FIRST, SECOND])
def test_the_interval_is_that_of_all_resamples(scores: Scores) -> None:
    interval, rates = wer_interval(scores), all_resamples(*figures(scores))
    for bound, level in ((interval.low, 0.025), (interval.high, 0.975)):
        # 10,000 draws know the level of a bound to 0.005, three standard deviations
        near = {rates[int(round(shifted * len(rates), 6))] for shifted in (level - 0.005, level, level + 0.005)}
        assert bound in near
    assert (interval.drawn, interval.count) == ("utterances", 4)


def test_two_systems_are_compared_on_the_same_resamples() -> None:
    (first, words), (second, _) = figures(FIRST), figures(SECOND)
    differences = all_resamples([one - other for one, other in zip(first, second)], words)
    compared = compare(FIRST, SECOND)
    assert compared.difference == pytest.approx(FIRST.counts.rate - SECOND.counts.rate)
    assert compared.probability == pytest.approx(np.mean(np.array(differences) < 0), abs=0.015)
    assert compared.second == SECOND.counts
    assert differences[0] <= compared.interval.low < 0 < compared.interval.high <= differences[-1]
    # pairing takes away what both systems find hard
    alone = wer_interval(FIRST)
    assert compared.interval.high - compared.interval.low < alone.high - alone.low


def test_a_system_is_not_better_than_itself() -> None:
    compared = compare(FIRST, FIRST)
    assert (compared.difference, compared.interval.low, compared.interval.high, compared.probability) == (0, 0, 0, 0)


def test_systems_scored_on_other_utterances_are_refused() -> None:
    with pytest.raises(DataError, match="other utterances"):
        compare(FIRST, Scores(SECOND.utterances[:3], ()))


def speakers_set(number: int) -> tuple[Scores, dict[str, str]]:
    """Speakers with ten like utterances each, every third of them misunderstood."""
    pairs = [("a b c d", "x y z d" if speaker % 3 == 0 else "a b c d") for speaker in range(number) for _ in range(10)]
    return scores_of(*pairs), {f"u{i}": f"speaker{i // 10}" for i in range(len(pairs))}


def test_twenty_speakers_are_drawn_as_a_whole() -> None:
    scores, utt2spk = speakers_set(20)
    by_speaker = wer_interval(scores, utt2spk)
    assert (by_speaker.drawn, by_speaker.count) == ("speakers", 20)
    one_utterance_each = wer_interval(Scores(scores.utterances[::10], ()))
    assert (by_speaker.low, by_speaker.high) == (one_utterance_each.low, one_utterance_each.high)
    by_utterance = wer_interval(scores)
    assert by_speaker.low < by_utterance.low < by_utterance.high < by_speaker.high
    assert compare(scores, scores, utt2spk).interval.drawn == "speakers"


def test_fewer_speakers_are_not() -> None:
    scores, utt2spk = speakers_set(19)
    assert wer_interval(scores, utt2spk) == wer_interval(scores)


def test_resamples_without_a_word_have_kaldis_rate() -> None:
    assert wer_interval(scores_of(("", "a b"), ("", "a"))).low == float("inf")
    assert wer_interval(scores_of(("", ""))).high == 0.0
    mixed = wer_interval(scores_of(("", "a"), ("b", "b")))
    assert (mixed.low, mixed.high) == (0.0, float("inf"))


def test_the_interval_covers_the_true_rate_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(40):
        errors = generator.binomial(10, 0.2, size=100)
        scores = scores_of(*((" ".join("abcdefghij"), " ".join("x" * n + "abcdefghij"[n:])) for n in errors))
        interval = wer_interval(scores)
        covered += interval.low <= 20.0 <= interval.high
    assert covered >= 34  # 38 are expected; fewer than 34 come once in 300 times
