"""The style of all figures: fonts, and colours that colour-blind readers can tell apart."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, MUTED, RULE, PAPER = "#1d232b", "#68717d", "#d7dbe0", "#fdfefe"
"""Text, secondary text, lines and background. The report page replaces these colours by those of
its light or dark theme, so no data are drawn in them."""
BLUE, ORANGE, GREEN, PINK, SKY, VERMILION = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
)
"""Okabe and Ito (2008), "Color Universal Design"."""
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION)
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
"""Markers and dashes that distinguish series without colour."""
COLOUR_MAP = "cividis"
"""Its lightness increases evenly, so a grey print keeps the order (Nuñez et al. 2018)."""

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "figure.facecolor": PAPER,
    "svg.fonttype": "none",
}


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, Any]:
    """Return a figure of ``width`` by ``height`` inches and its (rows, columns) array of axes."""
    spacing = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.06)
    figure = Figure(figsize=(width, height), layout=spacing)
    return figure, figure.subplots(rows, columns, squeeze=False)


def series_style(place: int) -> dict[str, Any]:
    """Return the `Layer` fields colour, marker and dash of series number ``place`` (0, 1, …)."""
    return {
        "colour": PALETTE[place % len(PALETTE)],
        "marker": MARKERS[place % len(MARKERS)],
        "dash": LINES[place % len(LINES)],
    }


def matrix_grid(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Label the rows and columns of a heat map and remove its frame."""
    axes.set_xticks(np.arange(len(columns)), columns)
    axes.set_yticks(np.arange(len(rows)), rows)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def ink_on(share: float) -> str:
    """Return black or white, whichever is easier to read at ``share`` (0 to 1) of the map."""
    red, green, blue = to_rgb(mpl.colormaps[COLOUR_MAP](float(np.clip(share, 0, 1))))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
