"""Numbers that are summed up: quantiles, and a histogram whose bins are the same for all sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NUM_BINS = 40
_WHISKER = 5.0
"""Interquartile ranges beyond the quartiles at which the bins end: one wrong value must not squeeze all others."""

_SAME = 1e-6
"""Values that differ by less than this part of their size, or of 1, share a bin."""


@dataclass(frozen=True)
class Histogram:
    """Attributes:
    edges: (bins + 1,) where bins begin and end; a bin has its left edge, the last one its right edge too.
    counts: (bins,) values in each bin.
    below, above: values outside of the bins.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int
    above: int


@dataclass(frozen=True)
class Distribution:
    """Attributes:
    count: values.
    total: their sum.
    min, median, mean, p95, max: p95 is the 95th percentile.
    histogram: how they spread.
    """

    count: int
    total: float
    min: float
    median: float
    mean: float
    p95: float
    max: float
    histogram: Histogram


def distributions(samples: Sequence[np.ndarray]) -> list[Distribution | None]:
    """Sum up several samples over common bins.

    Args:
        samples: (values,) each, finite.
    Returns:
        for each sample its distribution, None for one without values.
    """
    edges = _common_edges([values for values in samples if len(values)])
    return [_distribution(np.asarray(values, np.float64), edges) if len(values) else None for values in samples]


def _distribution(values: np.ndarray, edges: np.ndarray) -> Distribution:
    counts, _ = np.histogram(values, edges)
    median, p95 = np.percentile(values, (50, 95))
    return Distribution(
        count=len(values),
        total=float(values.sum()),
        min=float(values.min()),
        median=float(median),
        mean=float(values.mean()),
        p95=float(p95),
        max=float(values.max()),
        histogram=Histogram(
            edges=tuple(float(edge) for edge in edges),
            counts=tuple(int(count) for count in counts),
            below=int((values < edges[0]).sum()),
            above=int((values > edges[-1]).sum()),
        ),
    )


def _common_edges(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Round numbers from the lowest to the highest value that lies in the bulk of some sample."""
    if not samples:
        return np.array([0.0, 1.0])
    bulks = [_bulk(values) for values in samples]
    low, high = min(low for low, _ in bulks), max(high for _, high in bulks)
    size = max(abs(low), abs(high), 1.0)
    span = high - low
    step = round_step((span if span > _SAME * size else size) / _NUM_BINS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # rounded, as 3 * 0.1 is not 0.3
    return np.round(np.arange(first, max(last, first + 1) + 1) * step, 12)


def _bulk(values: np.ndarray) -> tuple[float, float]:
    lower, upper = np.percentile(values, (25, 75))
    reach = _WHISKER * (upper - lower)
    inside = values[(values >= lower - reach) & (values <= upper + reach)]
    return float(inside.min()), float(inside.max())


def round_step(step: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))
