"""Hypotheses of overlapping segments become one, without lost or doubled tokens."""

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from wenet_lite.decoding.alignment import TokenSpan
from wenet_lite.decoding.common_subsequence import common_subsequence
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.stitching import give_times, stitch

GARBLED = 99


def spoken(gaps: list[int], tokens: list[int]) -> Hypothesis:
    """Tokens with times."""
    times = tuple(itertools.accumulate(gaps))
    return Hypothesis(tuple(tokens[: len(times)]), -1.0, times)


def heard(whole: Hypothesis, first: int, last: int, jitter: int = 0) -> Hypothesis:
    """What a segment tells of it: a token at each of its ends is garbled."""
    inside = [(t, time) for t, time in zip(whole.tokens, whole.times) if first <= time < last]
    tokens = [token for token, _ in inside]
    for end in (0, -1) if len(inside) > 2 else ():
        tokens[end] = GARBLED
    return Hypothesis(tuple(tokens), -1.0, tuple(time + jitter for _, time in inside))


@given(
    gaps=st.lists(st.integers(2, 9), min_size=12, max_size=40),
    tokens=st.lists(st.integers(3, 6), min_size=40, max_size=40),
    cut=st.floats(0.2, 0.7),
    jitter=st.integers(0, 1),
)
@example(gaps=[2] * 13 + [8] * 5 + [9], tokens=[3] * 40, cut=0.203125, jitter=0)
def test_the_seam_lies_where_both_agree(gaps: list[int], tokens: list[int], cut: float, jitter: int) -> None:
    # A jitter of half a gap would leave open which of two equal tokens is meant.
    whole = spoken([gap + jitter for gap in gaps], tokens)
    end = whole.times[-1] + 1
    first = int(cut * end)
    last = min(first + 60, end)
    left, right = heard(whole, 0, last), heard(whole, first, end, jitter)
    joined = stitch(left, right, first, last)
    shared = sum(first <= time < last for time in whole.times)
    if shared >= 5:  # a token in the middle that neither has garbled
        assert joined.tokens[1:-1] == whole.tokens[1:-1]
        assert joined.score == -2.0
    assert list(joined.times) == sorted(joined.times) and len(joined.times) == len(joined.tokens)


def test_segments_that_meet_are_put_side_by_side() -> None:
    joined = stitch(Hypothesis((3, 4), -1.0, (2, 9)), Hypothesis((4, 5), -0.5, (10, 17)), 10, 10)
    assert joined == Hypothesis((3, 4, 4, 5), -1.5, (2, 9, 10, 17))


def test_without_agreement_the_seam_is_the_middle() -> None:
    left, right = Hypothesis((3, 4, 5), 0.0, (2, 11, 18)), Hypothesis((6, 7, 8), 0.0, (12, 16, 30))
    assert stitch(left, right, 10, 20) == Hypothesis((3, 4, 7, 8), 0.0, (2, 11, 16, 30))


def test_equal_tokens_at_other_times_are_no_agreement() -> None:
    left, right = Hypothesis((3, 3), 0.0, (1, 12)), Hypothesis((3, 3), 0.0, (38, 45))
    assert stitch(left, right, 10, 40).tokens == (3, 3, 3, 3)


def test_a_hypothesis_without_times_gets_those_of_equal_tokens() -> None:
    timed = give_times(Hypothesis((3, 9, 5, 6), -2.0), Hypothesis((3, 4, 5), -1.0, (10, 20, 30)), 0, 50)
    assert timed == Hypothesis((3, 9, 5, 6), -2.0, (10, 20, 30, 40))
    assert give_times(Hypothesis((7, 8, 9), 0.0), Hypothesis((), 0.0), 0, 40).times == (10, 20, 30)


@given(st.lists(st.integers(0, 2), max_size=7), st.lists(st.integers(0, 2), max_size=7))
def test_the_alignment_is_a_longest_common_subsequence(left: list[int], right: list[int]) -> None:
    pairs = common_subsequence(len(left), len(right), lambda i, j: left[i] == right[j])
    assert all(left[i] == right[j] for i, j in pairs)
    assert pairs == sorted(pairs) and all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(pairs))
    longest = max(
        n
        for n in range(len(left) + 1)
        for some in itertools.combinations(left, n)
        if some in itertools.combinations(right, n)
    )
    assert len(pairs) == longest


def test_a_token_keeps_its_span() -> None:
    spans = [TokenSpan(token, 10 * token, 10 * token + 2, (-0.1, -0.1)) for token in range(3, 9)]
    left = Hypothesis((3, 4, 5, 6, 7), -1.0, (30, 40, 50, 60, 70), spans=tuple(spans[:5]))
    right = Hypothesis((6, 7, 8), -1.0, (60, 70, 80), spans=tuple(spans[3:]))
    joined = stitch(left, right, 55, 75)
    assert joined.tokens == (3, 4, 5, 6, 7, 8) and joined.spans == tuple(spans)
