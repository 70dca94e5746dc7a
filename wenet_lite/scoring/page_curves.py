"""Curves of an evaluation as SVG, drawn by hand: error rate by length of utterances, and how errors are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenet_lite.data.describe_distribution import round_step
from wenet_lite.scoring.bootstrap import wer_interval
from wenet_lite.scoring.wer import Scores

_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 26, 38
_NUM_TICKS = 5
_NUM_LENGTHS = 8
_NUM_SHARES = 100

Point = tuple[float, float]


def length_curve(scores: Scores) -> str:
    """Error rates with intervals of about eight equal parts of the set, from short references to long ones.

    Utterances without a reference word, which have no rate, are left out; "" where there is nothing to draw.
    """
    spoken = [utterance for utterance in scores.utterances if utterance.counts.ref_words]
    if not spoken:
        return ""
    lengths = np.array([utterance.counts.ref_words for utterance in spoken])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, _NUM_LENGTHS + 1), method="nearest"))
    part_of = np.searchsorted(edges[1:-1], lengths, side="right")
    parts = [np.flatnonzero(part_of == part) for part in np.unique(part_of)]
    scored = [Scores(tuple(spoken[i] for i in part), ()) for part in parts]
    intervals = [wer_interval(each) for each in scored]
    points = [(float(lengths[part].mean()), each.counts.rate) for part, each in zip(parts, scored)]
    axes = _Axes(float(lengths.max()), max(*(interval.high for interval in intervals), 1.0))
    marks = [_line(axes, points)]
    for part, (x, y), interval in zip(parts, points, intervals):
        title = (
            f"{lengths[part].min()} to {lengths[part].max()} in the reference, {len(part)} utterances: "
            f"error rate {y:.1f} %, {interval.low:.1f} to {interval.high:.1f}"
        )
        marks.append(
            f'<line class="whisker" {axes.segment((x, interval.low), (x, interval.high))}/>'
            f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="4"><title>{title}</title></circle>'
        )
    return axes.svg("error rate over the length of utterances", "length of the reference", "error rate, %", marks)


def share_curve(scores: Scores) -> str:
    """Part of all errors that the worst utterances have; "" where there is no error."""
    if not scores.counts.errors:
        return ""
    cumulative = cumulative_share(scores)
    steps = np.unique(np.linspace(0, len(cumulative) - 1, _NUM_SHARES + 1).astype(int))
    points = [(100.0 * step / (len(cumulative) - 1), float(cumulative[step])) for step in steps.tolist()]
    axes = _Axes(100.0, 100.0)
    even = f'<line class="even" {axes.segment((0, 0), (100, 100))}><title>all utterances equally bad</title></line>'
    return axes.svg(
        "share of the errors that the worst utterances have",
        "worst utterances, %",
        "errors, %",
        [even, _line(axes, points)],
    )


def cumulative_share(scores: Scores) -> np.ndarray:
    """(utterances + 1,) percent of all errors that the worst 0, 1, 2, ... utterances have; there is an error."""
    errors = np.sort([utterance.counts.errors for utterance in scores.utterances])[::-1]
    return np.concatenate(([0.0], 100 * np.cumsum(errors) / errors.sum()))


class _Axes:
    """From values, both axes from 0, to places in the drawing."""

    def __init__(self, x_max: float, y_max: float) -> None:
        self.x_max, self.y_max = x_max, y_max

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.x_max

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.y_max

    def segment(self, start: Point, end: Point) -> str:
        (x1, y1), (x2, y2) = start, end
        return f'x1="{self.x(x1):.1f}" y1="{self.y(y1):.1f}" x2="{self.x(x2):.1f}" y2="{self.y(y2):.1f}"'

    def svg(self, title: str, x_label: str, y_label: str, marks: Sequence[str]) -> str:
        """The drawing; `title` is read to those who cannot see it."""
        parts = [*self._grid(), *marks]
        parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{x_label}</text>')
        parts.append(f'<text x="2" y="12">{y_label}</text>')
        return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'

    def _grid(self) -> list[str]:
        grid = [
            f'<line class="grid" {self.segment((0, y), (self.x_max, y))}/>'
            f'<text x="{_LEFT - 6}" y="{self.y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
            for y in _ticks(self.y_max)
        ]
        return grid + [
            f'<text x="{self.x(x):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{x:g}</text>'
            for x in _ticks(self.x_max)
        ]


def _line(axes: _Axes, points: Sequence[Point]) -> str:
    return f'<polyline points="{" ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)}"/>'


def _ticks(highest: float) -> list[float]:
    step = round_step(highest / _NUM_TICKS)
    return [i * step for i in range(int(highest / step + 1e-9) + 1)]
