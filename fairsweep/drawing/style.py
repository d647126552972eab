"""The style of all figures: fonts, and colours that colour-blind readers can tell apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, MUTED, RULE, PAPER = "#1d232b", "#68717d", "#d7dbe0", "#fdfefe"
"""Text, secondary text, lines and background. A report's page replaces these colours by those of
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
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
"""Dashes that distinguish series without colour."""

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
    "image.composite_image": False,  # a wall of pictures as one image takes seconds in SVG
    "svg.fonttype": "none",
}


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, Any]:
    """Return a figure of ``width`` by ``height`` inches and its (rows, columns) array of axes."""
    spacing = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.06)
    figure = Figure(figsize=(width, height), layout=spacing)
    return figure, figure.subplots(rows, columns, squeeze=False)


def matrix_grid(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Label the rows and columns of a heat map and remove its frame."""
    axes.set_xticks(np.arange(len(columns)), columns)
    axes.set_yticks(np.arange(len(rows)), rows)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def shortened(name: str, most: int) -> str:
    """Return ``name`` cut to at most ``most`` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
