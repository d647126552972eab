"""The style of the report's figures: that of all figures, with markers and a colour map."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb

from fairsweep.drawing.style import (
    BLUE,
    GREEN,
    INK,
    LINES,
    MUTED,
    ORANGE,
    PALETTE,
    PAPER,
    PINK,
    RC,
    RULE,
    SKY,
    VERMILION,
    matrix_grid,
    new_figure,
    shortened,
)

__all__ = [
    "BLUE",
    "COLOUR_MAP",
    "GREEN",
    "INK",
    "LINES",
    "MARKERS",
    "MUTED",
    "ORANGE",
    "PALETTE",
    "PAPER",
    "PINK",
    "RC",
    "RULE",
    "SKY",
    "VERMILION",
    "ink_on",
    "matrix_grid",
    "new_figure",
    "series_style",
    "shortened",
]

MARKERS = ("o", "s", "^", "D", "v", "P")
"""Markers that distinguish series without colour."""
COLOUR_MAP = "cividis"
"""Its lightness increases evenly, so a grey print keeps the order (Nuñez et al. 2018)."""


def series_style(place: int) -> dict[str, Any]:
    """Return the `Layer` fields colour, marker and dash of series number ``place`` (0, 1, …)."""
    return {
        "colour": PALETTE[place % len(PALETTE)],
        "marker": MARKERS[place % len(MARKERS)],
        "dash": LINES[place % len(LINES)],
    }


def ink_on(share: float) -> str:
    """Return black or white, whichever is easier to read at ``share`` (0 to 1) of the map."""
    red, green, blue = to_rgb(mpl.colormaps[COLOUR_MAP](float(np.clip(share, 0, 1))))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
