"""One picture of training runs, drawn with matplotlib."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wenet_lite.drawing import COLOURS, GREY, STYLE, NoMatplotlibError, write_figure
from wenet_lite.errors import WenetLiteError
from wenet_lite.training.metrics import EXPERT, RunMetrics

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation
    from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator, MaxNLocator, NullLocator
except ModuleNotFoundError as error:
    raise NoMatplotlibError from error

_TRAIN: dict[str, Any] = {"alpha": 0.8}
_WHOLE: dict[str, Any] = {"clip_on": False, "in_layout": False}  # a dot on the edge of its panel
_DEV: dict[str, Any] = {"linestyle": ":", "linewidth": 0.9, "marker": "o", "markersize": 3.5, **_WHOLE}
_BEST: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 9, "fillstyle": "none", **_WHOLE}
_WIDTH, _HEADER_LINE = 10.67, 0.27
_LOG_RATIO = 30  # largest over smallest value from which an axis is logarithmic


@dataclass(frozen=True)
class Panel:
    """A metric over updates.

    Attributes:
        title: with the unit, if it has one.
        metric: its name in metrics.jsonl.
        others: pattern of further metrics that are drawn beside it where there is one run.
        factor: from the record's unit to the title's.
        best: finds the dev set's value that is marked.
        log: whether a wide range is shown on a logarithmic axis; without it the axis starts at 0.
    """

    title: str
    metric: str
    others: str = ""
    factor: float = 1.0
    best: Callable[[np.ndarray], np.intp] | None = None
    log: bool = False


_ATTENTION = r"attention_reverse|attention_layer\d+"
_ROWS = (
    (
        Panel("Loss", "loss", best=np.nanargmin, log=True),
        Panel("CTC, nats an utterance", "ctc", r"ctc_layer\d+|ctc_embedding|cr_ctc", best=np.nanargmin, log=True),
        Panel("Attention, nats an utterance", "attention", _ATTENTION, best=np.nanargmin, log=True),
    ),
    (
        Panel("Word error rate, %", "wer", best=np.nanargmin),
        Panel("Token accuracy, %", "accuracy", factor=100, best=np.nanargmax),
        Panel("Learning rate", "learning_rate"),
        Panel("Gradient norm", "grad_norm", log=True),
    ),
    (
        Panel("Speed, times real time", "times_real_time"),
        Panel("Wait for data, % of time", "data_wait", factor=100),
        Panel("Padding, % of frames", "padding", factor=100),
        Panel("Memory, GB", "memory_mb", factor=1e-3),
    ),
)
_ROUTING = (Panel("Sparsity loss", "sparsity"), Panel("Importance loss", "importance"))


def draw_runs(runs: Sequence[RunMetrics], output: Path) -> None:
    """Draw one run in full, or several over each other; what was not measured has no panel.

    Args:
        runs: as many as there are `COLOURS`, at most.
        output: picture to write, .png, .pdf or .svg.
    Raises:
        WenetLiteError: if these are more runs than colours.
    """
    if len(runs) > len(COLOURS):
        raise WenetLiteError(f"{len(runs)} runs cannot be told apart", cure=f"draw at most {len(COLOURS)} at once")
    with rc_context(STYLE):
        write_figure(_figure(runs), output)


def _figure(runs: Sequence[RunMetrics]) -> Figure:
    measured = {metric for run in runs for metric in run.metrics}
    rows = [[panel for panel in row if panel.metric in measured] for row in _ROWS]
    rows = [row for row in rows if row]
    has_experts = any(run.experts for run in runs)
    heights = [2.7, *[1.8] * (len(rows) - 1), *[2.0] * has_experts]
    header = _HEADER_LINE * (len(runs) + 0.5)
    height = header + sum(heights)
    layout = ConstrainedLayoutEngine(rect=(0.004, 0.004, 0.992, 0.996 - header / height), hspace=0.05, wspace=0.03)
    figure = Figure(figsize=(_WIDTH, height), layout=layout)
    _draw_header(figure, runs)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    for i, row in enumerate(rows):
        places = grid[i].subgridspec(1, len(row))
        for j, panel in enumerate(row):
            _draw_panel(figure.add_subplot(places[j]), panel, runs)
    if has_experts:
        _draw_experts(figure, grid[len(rows)], runs)
    return figure


def _draw_header(figure: Figure, runs: Sequence[RunMetrics]) -> None:
    """A line for each run, in its colour where there are several; the key of lines and dots at the right."""
    for i, (run, colour) in enumerate(zip(runs, COLOURS)):
        y = 1 - _HEADER_LINE * (i + 0.8) / figure.get_figheight()
        name = figure.text(0.012, y, run.name, size=11, weight="bold", color=colour if len(runs) > 1 else "black")
        beside: Any = (name, "figure fraction")
        facts = Annotation(run.facts, (1, y), (10, 0), xycoords=beside, textcoords="offset points", color=GREY)
        figure.add_artist(facts)
    key = [
        Line2D([], [], color=GREY, label="train", **_TRAIN),
        Line2D([], [], color=GREY, label="dev", **_DEV),
        Line2D([], [], color=GREY, label="best dev", **_BEST),
    ]
    figure.legend(handles=key, loc="upper right", bbox_to_anchor=(0.997, 1.0), ncols=3)


def _draw_panel(axes: Axes, panel: Panel, runs: Sequence[RunMetrics]) -> None:
    """Colours tell the metrics of one run, or several runs."""
    axes.set_title(panel.title, loc="left")
    if len(runs) > 1:
        curves = [(run, panel.metric) for run in runs]
    else:
        others = [metric for metric in runs[0].metrics if re.fullmatch(panel.others, metric)]
        curves = [(runs[0], metric) for metric in (panel.metric, *others)]
    for i, (run, metric) in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        updates, values = run.series("train", metric)
        axes.plot(updates, panel.factor * values, color=colour, **_TRAIN)
        updates, values = run.series("dev", metric)
        axes.plot(updates, panel.factor * values, color=colour, label=_label(metric), **_DEV)
        if panel.best and metric == panel.metric and np.isfinite(values).any():
            best = panel.best(values)
            axes.plot(updates[best], panel.factor * values[best], color=colour, **_BEST)
            if len(runs) == 1:
                axes.set_title(f"best dev {panel.factor * values[best]:.4g}", loc="right", color=GREY, size=8.5)
    if len(curves) > len(runs):
        axes.legend(loc="upper right")
    if panel.metric == "grad_norm":
        _mark_skipped(axes, runs)
    _scale(axes, panel)
    _count_updates(axes, runs)


def _label(metric: str) -> str:
    """Short for a metric beside others of its kind: 'last layer' for ctc, 'layer 3' for ctc_layer3."""
    if metric in ("ctc", "attention"):
        return "last layer"
    return re.sub("^(ctc|attention)_", "", metric).replace("layer", "layer ").replace("cr_ctc", "CR-CTC")


def _mark_skipped(axes: Axes, runs: Sequence[RunMetrics]) -> None:
    """Crosses where updates were skipped, as their gradient was not finite."""
    skipped = [(update, count) for run in runs for update, count in run.series("train", "bad_updates").T if count > 0]
    if skipped:
        updates, counts = zip(*skipped)
        axes.plot(updates, [0] * len(updates), "kx", transform=axes.get_xaxis_transform(), **_WHOLE)
        axes.set_title(f"× {sum(counts):g} skipped", loc="right", color=GREY, size=8.5)


def _scale(axes: Axes, panel: Panel) -> None:
    low, high = axes.dataLim.intervaly
    if not panel.log:
        axes.set_ylim(0, 1.1 * high if 0 < high < np.inf else None)
    elif 0 < _LOG_RATIO * low < high:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))


def _count_updates(axes: Axes, runs: Sequence[RunMetrics]) -> None:
    axes.set_xlim(0, 1.02 * max(run.last_update for run in runs))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    spec = axes.get_subplotspec()
    if spec is not None and spec.get_topmost_subplotspec().is_last_row():
        axes.set_xlabel("updates")


def _draw_experts(figure: Figure, place: SubplotSpec, runs: Sequence[RunMetrics]) -> None:
    """A heat map for each run that has experts, and the losses that have routers decide and share."""
    routed = [run for run in runs if run.experts]
    panels = [panel for panel in _ROUTING if any(panel.metric in run.metrics for run in routed)]
    widths = [2] * len(routed) + [1] * len(panels)
    places = place.subgridspec(1, len(widths), width_ratios=widths)
    for i, run in enumerate(routed):
        colour = COLOURS[runs.index(run)] if len(runs) > 1 else "black"
        _draw_heat_map(figure.add_subplot(places[i]), run, colour)
    for i, panel in enumerate(panels, start=len(routed)):
        _draw_panel(figure.add_subplot(places[i]), panel, runs)


def _draw_heat_map(axes: Axes, run: RunMetrics, colour: str) -> None:
    """A row for each expert, the first layer on top; an expert that is hardly used stays white."""
    axes.set_title("Use of experts, % of a layer's frames", loc="left", color=colour)
    experts = run.experts
    series = [run.series("train", f"{EXPERT}{layer}_{expert}") for layer, expert in experts]
    updates, shares = series[0][0], [100 * values for _, values in series]
    image = axes.pcolormesh([0, *updates], range(len(experts) + 1), shares, vmin=0, cmap="Blues")
    layers = [layer for layer, _ in experts]
    axes.hlines([layers.index(layer) for layer in set(layers)], 0, updates[-1], color=GREY, linewidth=0.8)
    names = {layers.index(layer) + layers.count(layer) / 2: f"layer {layer}" for layer in layers}
    axes.set_yticks(list(names), list(names.values()))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.grid(visible=False)
    _count_updates(axes, [run])
    axes.figure.colorbar(image, ax=axes, pad=0.01)
