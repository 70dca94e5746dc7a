"""Sections of tables and plots, which the text and the page of a description both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wenet_lite.data.describe_distribution import Distribution, Histogram
from wenet_lite.data.describe_read import Problem

Row = tuple[str, ...]
MOST_ROWS = 50
"""Rows of what has no end."""


@dataclass(frozen=True)
class Table:
    """Attributes:
    title: what it lists.
    header: of the columns; the first column names the row.
    rows: cells, as many as the header has.
    """

    title: str
    header: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Plot:
    """Attributes:
    title: what is counted, with its unit.
    panels: name of each set and its distribution, over common bins.
    """

    title: str
    panels: tuple[tuple[str, Distribution], ...]


@dataclass(frozen=True)
class Section:
    """Attributes:
    title: its subject.
    note: how its figures are to be read.
    tables: none of them empty.
    plots: none of them empty.
    """

    title: str
    note: str
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()


def printable(text: str) -> str:
    """A text with escapes for what a terminal or a reader would not show: control, formatting, odd blanks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def percent(share: float) -> str:
    """A part of 1, in percent; what is not 0 does not look like it."""
    return f"{100 * share:.2f} %" if share == 0 or share >= 5e-5 else "< 0.01 %"


def numbers(spread: Distribution | None, names: str, digits: int) -> str:
    """The named attributes of a distribution, such as "min median max"."""
    if spread is None:
        return "-"
    return " / ".join(f"{getattr(spread, name):.{digits}f}" for name in names.split())


def outside(histogram: Histogram) -> str:
    """How many values are not in the bins, which a plot cannot show; "" where there are none."""
    sides = ((histogram.below, "below"), (histogram.above, "above"))
    told = " and ".join(f"{count} {side}" for count, side in sides if count)
    return f" (outside of the plot: {told})" if told else ""


def problem_table(title: str, problems: Iterable[tuple[str, Sequence[Problem]]]) -> Table:
    """The utterances with a problem, of each set."""
    rows: list[Row] = []
    for name, listed in problems:
        rows += [(name, problem.key, problem.reason) for problem in listed[:MOST_ROWS]]
        if len(listed) > MOST_ROWS:
            rows.append((name, "...", f"and {len(listed) - MOST_ROWS} more; --json lists them"))
    return Table(title, ("set", "utterance", "what is wrong"), tuple(rows))
