"""Draws groups of pictures that are copies of one another, with the label and split of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairsweep.drawing.style import INK, MUTED, VERMILION, new_figure, shortened

GROUPS = 20
"""Maximum number of groups in a figure."""
MEMBERS = 4
"""Maximum number of pictures of a group."""
ACROSS = 2
"""Groups side by side."""
LONGEST_NAME = 12
"""Characters of a label that are shown."""
LINE = 0.16
"""Height of a line of text as a share of a picture's width."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Copy:
    """One picture of a group of copies."""

    label: str
    split: str
    pixels: npt.NDArray[np.uint8]
    """(height, width) gray values or (height, width, 3) colours."""


def draw_copies(groups: Sequence[Sequence[Copy]]) -> Figure:
    """Draw at most ``GROUPS`` groups; a label that differs from the group's first is coloured.

    Args:
        groups: Groups of two or more copies.
    """
    shown = groups[:GROUPS]
    height, width = shown[0][0].pixels.shape[:2]
    ratio = height / width
    rows = -(-len(shown) // ACROSS)
    tile = 9.0 / (ACROSS * (MEMBERS + 0.3))  # inches
    row_height = ratio + 3 * LINE
    figure, grid = new_figure(9.3, tile * row_height * rows + 0.2)
    axes: Axes = grid[0, 0]
    for place, group in enumerate(shown):
        row, column = divmod(place, ACROSS)
        _draw_group(axes, group, column * (MEMBERS + 0.3), row * row_height, ratio)
    axes.set(xlim=(-0.04, ACROSS * (MEMBERS + 0.3)), ylim=(row_height * rows, -0.04))
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def _draw_group(axes: Axes, group: Sequence[Copy], x: float, y: float, ratio: float) -> None:
    text: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 7}
    for place, one in enumerate(group[:MEMBERS]):
        left, below = x + place, y + 0.92 * ratio
        where = (left, left + 0.92, below, y)
        axes.imshow(
            one.pixels, cmap="gray", vmin=0, vmax=255, extent=where, interpolation="nearest"
        )
        colour = INK if one.label == group[0].label else VERMILION
        label = shortened(one.label, LONGEST_NAME)
        axes.text(left, below + 0.02, label, color=colour, fontweight="bold", **text)
        more = len(group) - MEMBERS if place == MEMBERS - 1 else 0
        split = f"{one.split}, {more:,} more" if more > 0 else one.split
        axes.text(left, below + 0.02 + LINE, split, color=MUTED, **text)
