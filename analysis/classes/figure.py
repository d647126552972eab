"""Confusion matrices of the best models on validation: numbers, or colours if classes are many."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from analysis.curves.figure import best_models
from analysis.drawing.drawing import Drawing, file_stem
from analysis.drawing.style import COLOUR_MAP, ink_on, matrix_grid, new_figure, shortened
from analysis.rendering.table import MISSING
from analysis.run.run_data import RunData, read_confusion

MOST_NUMBERED = 12
"""A matrix of at most this many classes has numbers in its cells; a larger one only colours."""
MOST_NAMED = 40
"""Maximum number of names along an axis of a matrix without numbers."""
LONGEST_NAME = 20
"""Characters of a class name that such a matrix shows."""
LONGEST_LEVEL = 8
"""A class name with more characters is written upright below the matrix."""


def confusion(run: RunData) -> Iterator[Drawing]:
    """Yield a confusion matrix for each of the best models that has predictions."""
    classes = run.info.classes
    for trial in best_models(run):
        counts = read_confusion(run, trial["trial_id"])
        if counts is not None:
            yield Drawing(
                name=file_stem(f"confusion_{trial['name']}_trial{trial['number']}"),
                title=f"Confusion matrix of {trial['name']}, trial {trial['number']}",
                caption=f"Confusion matrix on validation, n = {counts.sum():,} pictures. "
                + _how_to_read(len(classes)),
                draw=partial(draw, counts, classes),
            )


def _how_to_read(classes: int) -> str:
    if classes <= MOST_NUMBERED:
        return (
            "Each cell shows the share of the true class (each row adds up to 100 %; a class "
            "without pictures has none) above the number of pictures."
        )
    step = _step(classes)
    every = "" if step == 1 else f" One in {step} of the {classes:,} classes is named."
    return (
        "The colour of a cell is its share of the true class (each row adds up to 100 %; a row of "
        f"a class without pictures is blank).{every}"
    )


def rates(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of each true class (row) predicted as each class; NaN in an empty row."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, totals, out=shares, where=totals > 0)
    return shares


def draw(counts: npt.NDArray[Any], classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix with the true classes as rows."""
    if len(classes) > MOST_NUMBERED:
        return _draw_colours(rates(counts), classes)
    side = 1.0 + 0.575 * len(classes)
    figure, grid = new_figure(side + 0.7, side)
    axes = grid[0, 0]
    shares = rates(counts)
    edges = np.arange(len(classes) + 1) - 0.5
    axes.pcolormesh(edges, edges, np.nan_to_num(shares), cmap=COLOUR_MAP, vmin=0, vmax=1)
    axes.invert_yaxis()
    matrix_grid(axes, classes, classes)
    for (row, column), share in np.ndenumerate(shares):
        ink = {"color": ink_on(np.nan_to_num(share)), "ha": "center"}
        text = MISSING if np.isnan(share) else f"{share:.0%}"
        axes.text(column, row, text, va="bottom", fontsize=9, fontweight="bold", **ink)
        axes.text(column, row + 0.06, f"{counts[row, column]:,}", va="top", fontsize=7.5, **ink)
    _name_axes(axes, upright=max(map(len, classes)) > LONGEST_LEVEL)
    return figure


def _draw_colours(shares: npt.NDArray[np.float64], classes: Sequence[str]) -> Figure:
    """Draw a matrix of a fixed size; its colours rise with the square root of the share.

    Most cells off the diagonal hold a few per cent, which a linear scale would not show.
    """
    figure, grid = new_figure(7.4, 6.4)
    axes = grid[0, 0]
    scale = PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap=COLOUR_MAP, norm=scale, interpolation="none")
    matrix_grid(axes, [], [])
    named = range(0, len(classes), _step(len(classes)))
    names = [shortened(classes[place], LONGEST_NAME) for place in named]
    axes.set_xticks(named, names, fontsize=6.5)
    axes.set_yticks(named, names, fontsize=6.5)
    bar = figure.colorbar(image, pad=0.02, shrink=0.6, format="{x:.0%}")
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1])
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    _name_axes(axes, upright=True)
    return figure


def _step(classes: int) -> int:
    """Return the step between classes that are named on an axis."""
    return -(-classes // MOST_NAMED)


def _name_axes(axes: Axes, *, upright: bool) -> None:
    axes.set(xlabel="predicted class", ylabel="true class")
    if upright:
        axes.tick_params(axis="x", rotation=90)
