"""One picture of error rate against latency, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenet_lite.drawing import COLOURS, GREY, STYLE, NoMatplotlibError, write_figure
from wenet_lite.scoring.chunk_report import ChunkRow

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise NoMatplotlibError from error

_SIZE = (8.0, 3.6)
_PANELS = (("Wait by construction, mean ms", "wait_mean_ms"), ("Emission latency, median ms", "emission_median_ms"))
_DODGE = 0.006  # of the panel's width: histories of one chunk have the same wait


def draw_chunks(rows: Sequence[ChunkRow], output: Path) -> None:
    """Draw the WER of each chunk with its interval, one line a history, against both latencies.

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
    for axes, (label, latency) in zip(panels, _PANELS):
        _draw(axes, rows, latency)
        axes.set_xlabel(label)
    panels[0].set_ylabel("Word error rate, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return figure


def _draw(axes: Axes, rows: Sequence[ChunkRow], latency: str) -> None:
    for row in rows:
        if row.chunk_size < 0:
            axes.axhline(row.wer, color=GREY, linestyle="--", linewidth=0.9, label="whole utterances")
            axes.axhspan(row.wer_low, row.wer_high, color=GREY, alpha=0.1, linewidth=0)
    histories = dict.fromkeys(row.num_left_chunks for row in rows if row.chunk_size > 0)
    for left, colour in zip(histories, COLOURS):
        points = [row for row in rows if row.chunk_size > 0 and row.num_left_chunks == left]
        points = sorted((row for row in points if getattr(row, latency) is not None), key=lambda row: row.chunk_size)
        axes.errorbar(
            [getattr(row, latency) for row in points],
            [row.wer for row in points],
            [[row.wer - row.wer_low for row in points], [row.wer_high - row.wer for row in points]],
            color=colour, marker="o", markersize=4, capsize=3, elinewidth=0.9,
            label="all of the past" if left < 0 else f"{left} chunks of history",
        )  # fmt: skip
    axes.set_xlim(left=0)
