"""A description of data sets as plain text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Sequence

from wenet_lite.data.describe import DataDescription
from wenet_lite.data.describe_distribution import Histogram
from wenet_lite.data.describe_findings import findings_of
from wenet_lite.data.describe_layout import Plot, Row, Section, Table, outside, printable
from wenet_lite.data.describe_sections import sections_of

_BARS = " ▁▂▃▄▅▆▇█"
_WIDEST = 60
_WIDEST_LAST = 100


def as_text(description: DataDescription) -> str:
    """The description as lines of text; long transcripts are cut, odd characters escaped."""
    findings = findings_of(description) or ["nothing stands out"]
    lines = ["== What stands out", *(f"* {_cell(finding, 1000)}" for finding in findings), ""]
    for section in sections_of(description):
        lines += _section_lines(section)
    return "\n".join(lines)


def _section_lines(section: Section) -> list[str]:
    lines = [f"== {_cell(section.title)}"]
    for table in section.tables:
        lines += _table_lines(table)
    for plot in section.plots:
        lines += _plot_lines(plot)
    return [*lines, ""]


def _table_lines(table: Table) -> list[str]:
    rows = [(*map(_cell, row[:-1]), _cell(row[-1], _WIDEST_LAST)) for row in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    title = [f"-- {table.title}"] if table.title else []
    return [*title, *(_line(row, widths) for row in rows)]


def _line(row: Row, widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _plot_lines(plot: Plot) -> list[str]:
    width = max(len(_cell(name)) for name, _ in plot.panels)
    lines = [f"-- {plot.title}"]
    for name, spread in plot.panels:
        histogram = spread.histogram
        low, high = f"{histogram.edges[0]:g}", f"{histogram.edges[-1]:g}"
        lines.append(f"{_cell(name).ljust(width)}  {low} |{_bars(histogram)}| {high}{outside(histogram)}")
    return lines


def _bars(histogram: Histogram) -> str:
    """One character a bin; the lowest bar stands for anything above 0."""
    highest = max(*histogram.counts, 1)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // highest)] for count in histogram.counts)


def _cell(text: str, widest: int = _WIDEST) -> str:
    shown = printable(text)
    return shown if len(shown) <= widest else shown[: widest - 3] + "..."
