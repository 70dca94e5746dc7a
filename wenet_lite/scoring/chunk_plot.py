"""One picture of error rate against latency, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wenet_lite.drawing import COLOURS, GREY, STYLE, NoMatplotlibError, write_figure
from wenet_lite.scoring.chunk_report import ChunkRow

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise NoMatplotlibError from error

_SIZE = (8.6, 3.8)
_DODGE = 0.012  # of the axis: histories with one chunk have the same wait


@dataclass(frozen=True)
class _Panel:
    """Names of a latency's two columns: the point, and where its bar ends."""

    label: str
    middle: str
    end: str


_PANELS = (
    _Panel("Wait by construction, ms: mean, bar to the worst", "wait_mean_ms", "wait_worst_ms"),
    _Panel("Emission latency, ms: median, bar to 95 % of the words", "emission_median_ms", "emission_95_ms"),
)


def draw_chunks(rows: Sequence[ChunkRow], output: Path) -> None:
    """Draw the WER of each chunk with its 95 % interval against its latencies, one line a history.

    Whole utterances are a dashed line with their interval: their latency is the utterance's.

    Args:
        rows: of one model, mode and list.
        output: picture to write, .png, .pdf or .svg.
    """
    with rc_context(STYLE):
        write_figure(_figure(rows), output)


def _figure(rows: Sequence[ChunkRow]) -> Figure:
    figure = Figure(figsize=_SIZE, layout="constrained")
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, panel in zip(panels, _PANELS):
        _draw_panel(axes, panel, rows)
    panels[0].set_ylabel("Word error rate, %")
    panels[0].set_ylim(bottom=max(panels[0].get_ylim()[0], 0))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return figure


def _draw_panel(axes: Axes, panel: _Panel, rows: Sequence[ChunkRow]) -> None:
    axes.set_xlabel(panel.label)
    for row in rows:
        if row.chunk_size < 0:
            axes.axhline(row.wer, color=GREY, linestyle="--", linewidth=0.9, label="whole utterances")
            axes.axhspan(row.wer_low, row.wer_high, color=GREY, alpha=0.1, linewidth=0)
    chunks = [row for row in rows if row.chunk_size > 0 and getattr(row, panel.middle) is not None]
    longest = max((getattr(row, panel.end) for row in chunks), default=1.0)
    axes.set_xlim(0, 1.05 * longest)
    histories = list(dict.fromkeys(row.num_left_chunks for row in chunks))
    for i, left in enumerate(histories):
        colour = COLOURS[i % len(COLOURS)]
        line = sorted((row for row in chunks if row.num_left_chunks == left), key=lambda row: row.chunk_size)
        dodge = _DODGE * longest * (i - (len(histories) - 1) / 2)
        wer = [row.wer for row in line]
        middles = [getattr(row, panel.middle) + dodge for row in line]
        beyond = [getattr(row, panel.end) + dodge - middle for row, middle in zip(line, middles)]
        around = [[row.wer - row.wer_low for row in line], [row.wer_high - row.wer for row in line]]
        label = "all of the past" if left < 0 else f"{left} chunks of history"
        axes.errorbar(middles, wer, around, color=colour, marker="o", markersize=4, capsize=2.5, label=label)
        axes.errorbar(middles, wer, xerr=[[0.0] * len(line), beyond], color=colour, linestyle="", alpha=0.35)
    _name_chunks(axes, panel, chunks)


def _name_chunks(axes: Axes, panel: _Panel, chunks: Sequence[ChunkRow]) -> None:
    """The length of each chunk, beside its highest bar."""
    for chunk in dict.fromkeys(row.chunk for row in chunks):
        highest = max((row for row in chunks if row.chunk == chunk), key=lambda row: row.wer_high)
        place = (getattr(highest, panel.middle), highest.wer_high)
        axes.annotate(chunk, place, (7, 0), textcoords="offset points", va="center", color=GREY)
