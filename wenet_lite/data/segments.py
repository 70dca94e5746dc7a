"""Cutting long audio into segments, at pauses where there are any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

_SHORTEST_PAUSE = 5
_LOUD_PERCENTILE, _QUIET_PERCENTILE = 95, 5
_LEAST_CONTRAST_DB = 15.0
"""Audio whose quietest parts are nearer than this to its loudest has no pauses that can be told by energy."""
_MOST_CONTRAST_DB = 50.0
"""What is quieter still, such as digital silence, does not lower the threshold."""
_THRESHOLD = 0.2
"""Of the way from quiet to loud, in dB."""


@dataclass(frozen=True)
class Segment:
    """Attributes:
    samples: (n,) float32.
    start: position of the first one in the recording.
    shared: samples at the beginning that the segment before ends with; 0 where they meet in a pause.
    """

    samples: np.ndarray
    start: int
    shared: int


class PauseCutter:
    """Cuts a recording that arrives block by block, holding one segment at a time.

    A segment ends in the middle of the longest pause of its second half. Where there is none of five units it ends
    when it is full, and shares its end with the next one.

    Args:
        max_samples: longest segment.
        overlap: samples shared with the next segment where there is no pause.
        unit: samples; cuts lie at their multiples, and their energies tell pauses.
    """

    def __init__(self, max_samples: int, overlap: int, unit: int) -> None:
        self.max_samples = max_samples // unit * unit
        self.overlap = overlap // unit * unit
        self.unit = unit

    def __call__(self, blocks: Iterable[np.ndarray]) -> Iterator[Segment]:
        """Cut the recording that `blocks` of (n,) samples make up."""
        held, start, shared = np.zeros(0, dtype=np.float32), 0, 0
        for block in blocks:
            held = np.concatenate([held, block])
            while len(held) > self.max_samples:
                pause = self._pause(held[: self.max_samples])
                end, following = (pause, pause) if pause else (self.max_samples, self.max_samples - self.overlap)
                yield Segment(held[:end], start, shared)
                held, start, shared = held[following:], start + following, end - following
        if len(held):
            yield Segment(held, start, shared)

    def _pause(self, samples: np.ndarray) -> int | None:
        """The middle of the longest pause of the second half."""
        energies = 10 * np.log10(np.square(samples.reshape(-1, self.unit)).mean(axis=1) + 1e-10)
        quiet, loud = np.percentile(energies, [_QUIET_PERCENTILE, _LOUD_PERCENTILE])
        if loud - quiet < _LEAST_CONTRAST_DB:
            return None
        quiet = max(quiet, loud - _MOST_CONTRAST_DB)
        first = len(energies) // 2
        start, length = longest_run(energies[first:] < quiet + _THRESHOLD * (loud - quiet))
        return (first + start + length // 2) * self.unit if length >= _SHORTEST_PAUSE else None


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest run of true values, the last of equal ones; length 0 if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    if not len(starts):
        return 0, 0
    best = len(lengths) - 1 - int(lengths[::-1].argmax())
    return int(starts[best]), int(lengths[best])
