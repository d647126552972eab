"""Draws sample pictures of each class as walls, in a figure of limited size."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fairsweep.drawing.style import matrix_grid, new_figure, shortened

Pictures = npt.NDArray[np.uint8]

SAMPLES = 10
"""Sample pictures per class."""
FEW = 20
"""More classes than this are in two or three columns, with half as many pictures per class."""
MOST_CLASSES = 102
"""Maximum number of classes; if there are more, the shown ones are spread evenly over them."""
LONGEST_NAME = 20
"""Characters of a class name that are shown."""
GAP = 1
"""Pixels between two pictures."""


def draw_samples(samples: Mapping[str, Pictures]) -> Figure:
    """Draw one row of pictures per class.

    Args:
        samples: Class → (k, height, width) gray values or (k, height, width, 3) colours.
    """
    names = _spread(list(samples))
    across = SAMPLES if len(names) <= FEW else SAMPLES // 2
    columns = 1 if len(names) <= FEW else 2 if len(names) <= 2 * FEW else 3
    rows = -(-len(names) // columns)
    height, width = samples[names[0]].shape[1:3]
    labels = [shortened(name, LONGEST_NAME) for name in names]
    font = 8.5 if columns == 1 else 6.5
    beside = 0.1 + 0.0085 * font * max(map(len, labels))  # inches that the names take
    side = (8.0 / columns - beside) / across
    figure, grid = new_figure(8.2, side * rows * height / width + 0.2, columns)
    for column, axes in enumerate(grid[0]):
        part = slice(column * rows, (column + 1) * rows)
        block = names[part]
        wall = _wall([samples[name] for name in block], rows, across)
        axes.imshow(wall, cmap="gray", vmin=0, vmax=255, interpolation="none")
        matrix_grid(axes, [], [])
        at = np.arange(len(block)) * (height + GAP) + height / 2
        axes.set_yticks(at, labels[part], fontsize=font)
    return figure


def how_to_read(classes: int) -> str:
    """Say how many pictures and classes `draw_samples` shows."""
    most = SAMPLES if classes <= FEW else SAMPLES // 2
    words = f"at most {most} per class"
    if classes > MOST_CLASSES:
        words += f", of {MOST_CLASSES} of the {classes:,} classes, spread evenly over their order"
    return words


def _spread(names: list[str]) -> list[str]:
    if len(names) <= MOST_CLASSES:
        return names
    places = np.linspace(0, len(names) - 1, MOST_CLASSES).round().astype(int)
    return [names[place] for place in places]


def _wall(pictures: list[Pictures], rows: int, across: int) -> Pictures:
    """Put pictures side by side on white, a row for each entry."""
    height, width = (side + GAP for side in pictures[0].shape[1:3])
    size = (height * rows - GAP, width * across - GAP)
    wall = np.full((*size, *pictures[0].shape[3:]), 255, np.uint8)
    for row, of_class in enumerate(pictures):
        for column, picture in enumerate(of_class[:across]):
            wall[row * height :, column * width :][: height - GAP, : width - GAP] = picture
    return wall
