"""Confusion matrices of the best models on validation, with counts and rates."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from analysis.curves.figure import best_models
from analysis.drawing.drawing import Drawing, file_stem
from analysis.drawing.style import COLOUR_MAP, ink_on, matrix_grid, new_figure
from analysis.rendering.table import MISSING
from analysis.run.run_data import RunData, read_confusion


def confusion(run: RunData) -> Iterator[Drawing]:
    """Yield a confusion matrix for each of the best models that has predictions."""
    for trial in best_models(run):
        counts = read_confusion(run, trial["trial_id"])
        if counts is not None:
            yield Drawing(
                name=file_stem(f"confusion_{trial['name']}_trial{trial['number']}"),
                title=f"Confusion matrix of {trial['name']}, trial {trial['number']}",
                caption=f"Confusion matrix on validation, n = {counts.sum():,} pictures. Each cell "
                "shows the share of the true class (each row adds up to 100 %; a class without "
                "pictures has none) above the number of pictures.",
                draw=partial(draw, counts, run.info.classes),
            )


def rates(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of each true class (row) predicted as each class; NaN in an empty row."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, totals, out=shares, where=totals > 0)
    return shares


def draw(counts: npt.NDArray[Any], classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix with the true classes as rows."""
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
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure
