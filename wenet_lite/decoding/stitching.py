"""Joining the hypotheses of segments whose ends overlap."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

import numpy as np

from wenet_lite.decoding.common_subsequence import common_subsequence
from wenet_lite.decoding.options import Hypothesis

_TOLERANCE = 8
"""Encoder frames that two hearings of a token may lie apart."""


def stitch(left: Hypothesis, right: Hypothesis, first: int, last: int) -> Hypothesis:
    """Join two hypotheses without lost or doubled tokens.

    Near a cut a hypothesis lacks context. So the seam is the token on which both agree, in identity and time, that
    lies nearest to the middle of what both have heard; or the middle itself where they agree on none. Of a token that
    is said again and again those are one that both have heard at nearly the same time.

    Args:
        left: of the audio before, with the time of each token in encoder frames of the whole recording.
        right: of the audio behind.
        first, last: encoder frames that both have heard; equal where they meet.
    Returns:
        the joined tokens, times and spans; `score` is the sum of both.
    """
    middle = (first + last) / 2
    tail, head = bisect_left(left.times, first), bisect_left(right.times, last)
    left_times, right_times = left.times[tail:], right.times[:head]

    def agreement(i: int, j: int) -> float:
        apart = abs(left_times[i] - right_times[j])
        return 1 / (1 + apart) if left.tokens[tail + i] == right.tokens[j] and apart <= _TOLERANCE else 0.0

    pairs = common_subsequence(len(left_times), len(right_times), agreement)
    if pairs:
        i, j = min(pairs, key=lambda pair: abs((left_times[pair[0]] + right_times[pair[1]]) / 2 - middle))
        keep, skip = tail + i + 1, j + 1
    else:
        keep, skip = bisect_left(left.times, middle), bisect_left(right.times, middle)
    return Hypothesis(
        left.tokens[:keep] + right.tokens[skip:],
        left.score + right.score,
        left.times[:keep] + right.times[skip:],
        spans=left.spans[:keep] + right.spans[skip:],
    )


def give_times(hyp: Hypothesis, reference: Hypothesis, first: int, last: int) -> Hypothesis:
    """Give times to the tokens of a search that has no alignment: those of equal tokens of one that has.

    Args:
        hyp: without times.
        reference: of the same audio, with times.
        first, last: encoder frames of that audio; between tokens that have no partner times are interpolated.
    """

    def same(i: int, j: int) -> bool:
        return hyp.tokens[i] == reference.tokens[j]

    pairs = common_subsequence(len(hyp.tokens), len(reference.tokens), same)
    positions = [-1, *(i for i, _ in pairs), len(hyp.tokens)]
    times = [first, *(reference.times[j] for _, j in pairs), last]
    return replace(hyp, times=tuple(np.interp(range(len(hyp.tokens)), positions, times).astype(int).tolist()))
