"""A histogram as SVG, drawn by hand: a page with it needs no library and no script."""

from __future__ import annotations

import math

from wenet_lite.data.describe_distribution import Distribution, round_step

_WIDTH, _HEIGHT = 340, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 22, 24
_NUM_TICKS = 5


def histogram_svg(spread: Distribution, label: str) -> str:
    """Draw the bins as bars, the median as a dashed line; a bar tells its numbers when it is pointed at.

    Args:
        spread: what is drawn; values outside of its bins are not.
        label: for those who cannot see it, already escaped.
    """
    histogram = spread.histogram
    highest = max(*histogram.counts, 1)
    parts = []
    for left, right, count in zip(histogram.edges, histogram.edges[1:], histogram.counts):
        if count:
            x, y, width = _x(spread, left), _y(count / highest), _x(spread, right) - _x(spread, left)
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width - 1, 1):.1f}" height="{_y(0) - y:.1f}">'
                f"<title>{left:g} to {right:g}: {count}</title></rect>"
            )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(0)}" y2="{_y(0)}"/>')
    parts += [_tick(spread, value) for value in _ticks(histogram.edges[0], histogram.edges[-1])]
    if histogram.edges[0] <= spread.median <= histogram.edges[-1]:
        x = _x(spread, spread.median)
        parts.append(f'<line class="median" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{_y(0)}"/>')
    parts.append(f'<text x="{_LEFT}" y="11">highest bar: {highest}</text>')
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg {size} role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _x(spread: Distribution, value: float) -> float:
    low, high = spread.histogram.edges[0], spread.histogram.edges[-1]
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low)


def _y(part: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - part)


def _tick(spread: Distribution, value: float) -> str:
    x = _x(spread, value)
    anchor = "start" if x < _LEFT + 10 else "end" if x > _WIDTH - _RIGHT - 14 else "middle"
    mark = f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(0)}" y2="{_y(0) + 4}"/>'
    return f'{mark}<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{value:g}</text>'


def _ticks(low: float, high: float) -> list[float]:
    step = round_step((high - low) / _NUM_TICKS)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
