"""How soon and how steadily a stream shows its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wenet_lite.decoding.common_subsequence import common_subsequence


@dataclass(frozen=True)
class ShownResult:
    """What a stream shows, from one moment until the next result.

    Attributes:
        shown_ms: milliseconds from the beginning of the audio.
        words: of the best hypothesis so far.
    """

    shown_ms: float
    words: tuple[str, ...]


@dataclass(frozen=True)
class Steadiness:
    """Attributes:
    shown_ms: for each word of the final text, when it was first shown at its place and stayed.
    taken_back: words of results that a later one took back or replaced; a word that flickers twice counts twice.
    """

    shown_ms: tuple[float, ...]
    taken_back: int


def steadiness(results: Sequence[ShownResult]) -> Steadiness:
    """Follow every word from result to result.

    From one result to the next a word stays if it belongs to the longest common subsequence of the two: words that
    come or go before it move its place along and do not replace it. All other words of the earlier result are taken
    back, but for its last one where that has only grown: where, after the words that stay, the next result goes on
    with a word that begins with it. A word that has grown counts as shown when it is complete.

    Args:
        results: in the order in which they are shown; the last is the final text.
    """
    words: tuple[str, ...] = ()
    shown_ms: list[float] = []
    taken_back = 0
    for result in results:
        origins = _origins(words, result.words)
        stayed = [origin for origin in origins if origin is not None]
        taken_back += len(words) - len(stayed) - _has_grown(words, result.words, origins)
        shown_ms = [result.shown_ms if origin is None else shown_ms[origin] for origin in origins]
        words = result.words
    return Steadiness(tuple(shown_ms), taken_back)


def _has_grown(before: Sequence[str], after: Sequence[str], origins: Sequence[int | None]) -> bool:
    """Whether the last word of `before` does not stay, but the word behind those that stay begins with it."""
    behind = max((i for i, origin in enumerate(origins) if origin is not None), default=-1) + 1
    gone = bool(before) and len(before) - 1 not in origins
    return gone and behind < len(after) and after[behind].startswith(before[-1])


def _origins(before: Sequence[str], after: Sequence[str]) -> list[int | None]:
    """For each word of `after` its place in `before`, or None, by a longest common subsequence; left before right."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    rest = common_subsequence(
        len(before) - start, len(after) - start, lambda i, j: before[start + i] == after[start + j]
    )
    origins: list[int | None] = [*range(start), *[None] * (len(after) - start)]
    for i, j in rest:
        origins[start + j] = start + i
    return origins
