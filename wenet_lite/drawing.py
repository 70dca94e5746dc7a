"""How all pictures look; matplotlib, which draws them, is an optional extra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wenet_lite.errors import WenetLiteError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
"""Told apart by colour-blind readers (Okabe and Ito, 2008)."""
GREY = "#666666"
STYLE: Any = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": GREY,
    "grid.color": "#E8E8E8",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
}
"""For `matplotlib.rc_context`, around the making of a figure and its writing."""
_DPI = 150


class NoMatplotlibError(WenetLiteError):
    """What a module that draws raises where matplotlib cannot be imported."""

    def __init__(self) -> None:
        super().__init__("drawing needs matplotlib, which is not installed", cure="pip install matplotlib")


def write_figure(figure: Figure, output: Path) -> None:
    """Write a picture by rename, in the format of its ending."""
    temporary = output.with_name(output.name + ".tmp")
    figure.savefig(temporary, dpi=_DPI, format=output.suffix[1:])
    temporary.replace(output)
