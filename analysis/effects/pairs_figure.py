"""Draws accuracy by each pair of searched hyperparameters."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted, file_stem
from analysis.drawing.style import series_style
from analysis.effects.figure import compared_metric, compared_words, prepare, spread
from analysis.effects.figure import title as label_of
from analysis.rendering.words import first_upper
from analysis.run.hyperparameters import is_continuous, is_wide, levels, searched, words
from analysis.run.metric import Metric
from analysis.run.run_data import RunData

LEAST_RANGE = 2.0
"""Minimum span of a colour scale in percentage points, so that it does not magnify noise."""


def pairs(run: RunData) -> Iterator[Drawing]:
    """Yield a figure for each pair of untied hyperparameters that vary together."""
    names = searched(run)
    data = prepare(run)
    for first, second in combinations(names, 2):
        used = data.dropna(subset=[first, second])
        if used[first].nunique() > 1 and used[second].nunique() > 1:
            yield _drawing(run, used, first, second)


def _drawing(run: RunData, used: pd.DataFrame, first: str, second: str) -> Drawing:
    """Choose how to draw a pair; if one of the two is continuous, it is on the x axis."""
    continuous = [is_continuous(used[name]) for name in (first, second)]
    y, x = (second, first) if continuous == [True, False] else (first, second)
    make, how = (
        (plane_chart, f"A point is a trial; its colour is the {run.metric.word}.")
        if all(continuous)
        else (series_chart, "A point is a trial.")
        if any(continuous)
        else (
            levels_chart,
            "Left: mean of each combination, n its trials. Right: the same means, and each trial "
            "as a small point. Trainings of a configuration are averaged first.",
        )
    )
    return charted(
        name=file_stem(f"accuracy_by_{first}_and_{second}"),
        title=f"{first_upper(run.metric.word)} by {words(first)} and {words(second)}",
        caption=f"{compared_words(run)} {how}",
        chart=make(used, (y, label_of(run, y)), (x, label_of(run, x)), compared_metric(run)),
    )


def cell_means(data: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Return ``mean`` (%) and ``trials`` per pair of levels (index), averaging replicates first."""
    row, column = levels(data[first]).rename("row"), levels(data[second]).rename("column")
    keys = [row, column]
    grouped = data.groupby(keys, observed=True)
    means = data.groupby([*keys, "configuration_id"], observed=True)["accuracy"].mean()
    return pd.DataFrame(
        {"mean": means.groupby(["row", "column"], observed=True).mean(), "trials": grouped.size()}
    )


def levels_chart(
    data: pd.DataFrame, y: tuple[str, str], x: tuple[str, str], metric: Metric
) -> Chart:
    """Return a heat map of the means and a point plot; ``x`` and ``y`` are name and label."""
    names = [tuple(levels(data[name]).cat.categories) for name in (x[0], y[0])]
    across = Axis(label=x[1], names=names[0])
    cells = _cells(cell_means(data, y[0], x[0]), names[0], names[1], metric)
    assert cells.values is not None
    heat = Panel(
        x=across,
        y=Axis(label=y[1], names=names[1]),
        layers=(cells,),
        value_label=f"mean {metric.axis}",
        value_limits=colour_limits(cells.values, metric),
    )
    points = Panel(
        x=across, y=Axis(label=metric.axis), layers=tuple(_point_layers(data, y[0], x[0]))
    )
    return Chart(panels=(heat, points), panel_size=(3.3, 3.2), legend_title=y[1])


def series_chart(
    data: pd.DataFrame, y: tuple[str, str], x: tuple[str, str], metric: Metric
) -> Chart:
    """Plot accuracy over a continuous hyperparameter, with a series per level of the other."""
    layers = [
        Layer(
            kind="points",
            label=str(text),
            x=float_array(rows[x[0]]),
            y=float_array(rows["accuracy"]),
            trials=rows["number"].to_numpy(int),
            **series_style(place),
        )
        for place, (text, rows) in enumerate(data.groupby(levels(data[y[0]]), observed=True))
    ]
    panel = Panel(
        x=Axis(label=x[1], log=is_wide(data[x[0]])), y=Axis(label=metric.axis), layers=tuple(layers)
    )
    return Chart(panels=(panel,), panel_size=(6.3, 3.2), legend_title=y[1])


def plane_chart(
    data: pd.DataFrame, y: tuple[str, str], x: tuple[str, str], metric: Metric
) -> Chart:
    """Plot trials in the plane of two continuous hyperparameters, coloured by accuracy."""
    values = float_array(data["accuracy"])
    points = Layer(
        kind="points",
        x=float_array(data[x[0]]),
        y=float_array(data[y[0]]),
        values=values,
        trials=data["number"].to_numpy(int),
        size=5.8,
    )
    panel = Panel(
        x=Axis(label=x[1], log=is_wide(data[x[0]])),
        y=Axis(label=y[1], log=is_wide(data[y[0]])),
        layers=(points,),
        value_label=metric.axis,
        value_limits=colour_limits(values, metric),
    )
    return Chart(panels=(panel,), panel_size=(6.3, 3.4))


def _cells(
    cells: pd.DataFrame, columns: tuple[str, ...], rows: tuple[str, ...], metric: Metric
) -> Layer:
    row, column = (cells.index.get_level_values(key).astype(str) for key in ("row", "column"))
    values = metric.text
    texts = [
        f"{values(mean / metric.scale)}\nn = {trials}"
        for mean, trials in cells.itertuples(index=False)
    ]
    return Layer(
        kind="cells",
        x=np.array([columns.index(text) for text in column], float),
        y=np.array([rows.index(text) for text in row], float),
        values=float_array(cells["mean"]),
        texts=tuple(texts),
    )


def _point_layers(data: pd.DataFrame, first: str, second: str) -> Iterator[Layer]:
    series, column = levels(data[first]), levels(data[second])
    at = pd.Series(column.cat.codes.astype(int), index=data.index)
    used = [text for text in series.cat.categories if (series == text).any()]
    shifts = np.linspace(-0.18, 0.18, len(used)) if len(used) > 1 else np.zeros(1)
    for place, (text, shift) in enumerate(zip(used, shifts, strict=True)):
        rows = data[series == text]
        own = at[rows.index]
        keys = [own.rename("x"), rows["configuration_id"]]
        mean = rows.groupby(keys)["accuracy"].mean().groupby("x").mean()
        look: dict[str, Any] = series_style(place)
        yield Layer(
            kind="points",
            x=spread(own, 0.12) + shift,
            y=float_array(rows["accuracy"]),
            trials=rows["number"].to_numpy(int),
            **{**look, "marker": "o"},
            size=3.4,
            alpha=0.6,
        )
        x, y = mean.index.to_numpy(float) + shift, float_array(mean)
        yield Layer(kind="line", label=str(text), x=x, y=y, **look, size=6.5)


def colour_limits(values: Any, metric: Metric) -> tuple[float, float]:
    """Return the limits of a colour scale for values of a metric, shares in %."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    least = LEAST_RANGE if metric.is_share else 0.0
    widen = max(0.0, least - (high - low)) / 2
    return low - widen, high + widen
