"""Accuracy by each pair of searched hyperparameters (the study's figure 2.4)."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import Drawing, file_stem
from analysis.figures.effects import compared_words, prepare, spread
from analysis.figures.effects import title as label_of
from analysis.figures.style import COLOUR_MAP, ink_on, matrix_grid, new_figure, series_style
from analysis.hyperparameters import is_continuous, is_wide, levels, searched, words
from analysis.run_data import RunData

LEAST_RANGE = 2.0
"""Percentage points that a colour scale spans at least, so that it does not magnify noise."""


def pairs(run: RunData) -> Iterator[Drawing]:
    """Yield a figure for each pair of untied hyperparameters that vary together."""
    names = searched(run)
    data = prepare(run)
    for first, second in combinations(names, 2):
        used = data.dropna(subset=[first, second])
        if used[first].nunique() > 1 and used[second].nunique() > 1:
            yield _drawing(run, used, first, second)


def _drawing(run: RunData, used: pd.DataFrame, first: str, second: str) -> Drawing:
    """Choose how to draw a pair; where one of them is continuous, it lies on the x axis."""
    continuous = [is_continuous(used[name]) for name in (first, second)]
    y, x = (second, first) if continuous == [True, False] else (first, second)
    draw, how = (
        (draw_plane, "A point is a trial; its colour is the accuracy.")
        if all(continuous)
        else (draw_series, "A point is a trial.")
        if any(continuous)
        else (
            draw_levels,
            "Left: mean of each combination, n its trials. Right: the same means, and each trial "
            "as a small point. Replicates of a configuration are averaged first.",
        )
    )
    return Drawing(
        name=file_stem(f"accuracy_by_{first}_and_{second}"),
        title=f"Accuracy by {words(first)} and {words(second)}",
        caption=f"{compared_words(run)} {how}",
        draw=lambda: draw(used, (y, label_of(run, y)), (x, label_of(run, x))),
    )


def cell_means(data: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Return ``mean`` (%) and ``trials`` per pair of levels (index), replicates averaged first."""
    row, column = levels(data[first]).rename("row"), levels(data[second]).rename("column")
    keys = [row, column]
    grouped = data.groupby(keys, observed=True)
    means = data.groupby([*keys, "configuration_id"], observed=True)["accuracy"].mean()
    return pd.DataFrame(
        {"mean": means.groupby(["row", "column"], observed=True).mean(), "trials": grouped.size()}
    )


def draw_levels(data: pd.DataFrame, y: tuple[str, str], x: tuple[str, str]) -> Figure:
    """Draw a heat map of the means beside a point plot; ``x`` and ``y``: name and label."""
    figure, grid = new_figure(6.3, 3.1, columns=2)
    _heat_map(grid[0, 0], cell_means(data, y[0], x[0]))
    _point_plot(grid[0, 1], data, y[0], x[0])
    grid[0, 0].set(xlabel=x[1], ylabel=y[1])
    grid[0, 1].set(xlabel=x[1], ylabel="validation accuracy, %")
    _legend(figure, grid[0, 1], y[1])
    return figure


def draw_series(data: pd.DataFrame, y: tuple[str, str], x: tuple[str, str]) -> Figure:
    """Draw accuracy over a continuous hyperparameter, the levels of the other as series."""
    figure, grid = new_figure(6.3, 3.1)
    axes = grid[0, 0]
    for place, (text, rows) in enumerate(data.groupby(levels(data[y[0]]), observed=True)):
        style = {**series_style(place), "linestyle": "none"}
        axes.plot(rows[x[0]].astype(float), rows["accuracy"], **style, markersize=4.5, label=text)
    if is_wide(data[x[0]]):
        axes.set_xscale("log")
    axes.set(xlabel=x[1], ylabel="validation accuracy, %")
    _legend(figure, axes, y[1])
    return figure


def draw_plane(data: pd.DataFrame, y: tuple[str, str], x: tuple[str, str]) -> Figure:
    """Draw the trials in the plane of two continuous hyperparameters, coloured by accuracy."""
    figure, grid = new_figure(6.3, 3.4)
    axes = grid[0, 0]
    places = [data[name].astype(float) for name, _ in (x, y)]
    points = axes.scatter(*places, c=data["accuracy"], cmap=COLOUR_MAP, s=34)
    axes.set(xlabel=x[1], ylabel=y[1])
    axes.set(
        xscale="log" if is_wide(places[0]) else "linear",
        yscale="log" if is_wide(places[1]) else "linear",
    )
    axes.grid(visible=True, axis="both")
    bar = figure.colorbar(points, ax=axes, label="validation accuracy, %", pad=0.02)
    bar.outline.set_visible(False)
    return figure


def _heat_map(axes: Axes, cells: pd.DataFrame) -> None:
    table = cells.unstack("column").sort_index()
    means, trials = table["mean"], table["trials"].fillna(0).to_numpy(int)
    values = means.to_numpy(float)
    low, high = _colour_limits(values)
    edges = [np.arange(size + 1) - 0.5 for size in values.shape]
    shown = np.ma.masked_invalid(values)
    axes.pcolormesh(edges[1], edges[0], shown, cmap=COLOUR_MAP, vmin=low, vmax=high)
    matrix_grid(axes, list(means.columns), list(means.index))
    for (row, column), mean in np.ndenumerate(values):
        if np.isfinite(mean):
            text = f"{mean:.1f} %\nn = {trials[row, column]}"
            ink = ink_on((mean - low) / (high - low))
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)


def _point_plot(axes: Axes, data: pd.DataFrame, first: str, second: str) -> None:
    series, column = levels(data[first]), levels(data[second])
    order = [text for text in column.cat.categories if (column == text).any()]
    used = [text for text in series.cat.categories if (series == text).any()]
    shifts = np.linspace(-0.18, 0.18, len(used)) if len(used) > 1 else np.zeros(1)
    for place, (text, shift) in enumerate(zip(used, shifts, strict=True)):
        style = series_style(place)
        rows = data[series == text]
        at = column[rows.index].map(order.index).astype(int)
        means = rows.groupby([at.rename("x"), "configuration_id"])["accuracy"].mean()
        mean = means.groupby("x").mean()
        for x, group in rows.groupby(at):
            offsets = x + shift + spread(len(group), 0.12)
            axes.scatter(offsets, group["accuracy"], s=12, color=style["color"], alpha=0.6)
        axes.plot(mean.index + shift, mean, **style, markersize=6.5, label=text)
    axes.set_xticks(range(len(order)), order)
    axes.set_xlim(-0.5, len(order) - 0.5)


def _legend(figure: Figure, axes: Axes, title: str) -> None:
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, title=title, loc="outside upper right", ncols=len(texts))


def _colour_limits(means: Any) -> tuple[float, float]:
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    widen = max(0.0, LEAST_RANGE - (high - low)) / 2
    return low - widen, high + widen
