"""Draws accuracy by each pair of searched hyperparameters, those that matter together first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted, file_stem
from analysis.drawing.style import series_style
from analysis.effects.design import MATTERS
from analysis.effects.figure import compared_metric, compared_words, prepare, spread
from analysis.effects.figure import title as label_of
from analysis.effects.statistics import known_effects, level_means
from analysis.rendering.words import first_upper
from analysis.run.hyperparameters import is_continuous, is_wide, levels, searched, words
from analysis.run.metric import Metric
from analysis.run.run_data import RunData
from analysis.run.trials import accuracy_at_common_epoch

LEAST_RANGE = 2.0
"""Minimum span of a colour scale in percentage points, so that it does not magnify noise."""
MOST_SHOWN = 4
"""Maximum number of pairs that are not set aside."""
MOST_DRAWN = 10
"""Maximum number of pairs with a figure."""
Pair = tuple[str, str]


def pairs(run: RunData) -> Iterator[Drawing]:
    """Yield a figure for each pair of untied hyperparameters that vary together.

    Pairs that matter come first; the others are set aside. Of very many, those that explain least
    have no figure, which the last caption says.
    """
    data = prepare(run)
    used = {pair: data.dropna(subset=list(pair)) for pair in combinations(searched(run), 2)}
    varied = [pair for pair, rows in used.items() if all(rows[one].nunique() > 1 for one in pair)]
    first, others = mattering(run, varied)
    drawn = [*first, *others][:MOST_DRAWN]
    for pair in drawn:
        drawing = _drawing(run, used[pair], pair, aside=pair not in first)
        if pair is drawn[-1] and len(varied) > len(drawn):
            left = f" {len(varied) - len(drawn)} pairs that explain less have no figure."
            drawing = replace(drawing, caption=drawing.caption + left)
        yield drawing


def mattering(run: RunData, among: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs whose joint effect is worth a figure, and the others, by what they explain.

    The first are pairs whose interaction is shown to matter, or both of whose hyperparameters are,
    at most `MOST_SHOWN`. If there is none, it is the pair that explains most of the variance.
    Without effects, the order stays.
    """
    frame = known_effects(run)
    if frame is None:
        return list(among[:1]), list(among[1:])
    shares = dict(zip(frame["term"], frame["share"].fillna(0.0), strict=True))
    shown = set(frame.loc[frame["verdict"] == MATTERS, "term"])

    def explained(pair: Pair) -> float:
        return float(sum(shares.get(term, 0.0) for term in (*pair, " × ".join(pair))))

    order = sorted(among, key=explained, reverse=True)
    chosen = [pair for pair in order if set(pair) <= shown or " × ".join(pair) in shown]
    first = chosen[:MOST_SHOWN] or order[:1]
    return first, [pair for pair in order if pair not in first]


def _drawing(run: RunData, used: pd.DataFrame, pair: Pair, *, aside: bool) -> Drawing:
    """Choose how to draw a pair; if one of the two is continuous, it is on the x axis."""
    first, second = pair
    continuous = [is_continuous(used[name]) for name in pair]
    y, x = (second, first) if continuous == [True, False] else (first, second)
    metric, labels = compared_metric(run), ((y, label_of(run, y)), (x, label_of(run, x)))
    if all(continuous):
        chart = plane_chart(used, *labels, metric)
        how = f"A point is a trial; its colour is the {run.metric.word}."
    elif any(continuous):
        chart, how = series_chart(used, *labels, metric), "A point is a trial."
    else:
        # Thousands of trials take seconds for each figure, so those set aside have no intervals.
        ends = None if aside else run.metric.scale * cell_intervals(run, y, x)
        chart = levels_chart(used, *labels, metric, ends)
        how = (
            "Left: mean of each combination, n its trials; the colours span all trials. Right: "
            "the same means, and each trial as a small point. Trainings of a configuration are "
            "averaged first."
        ) + " Intervals: 95 %, as in the table of levels." * (
            ends is not None and bool(ends.notna().any(axis=None))
        )
    return charted(
        name=file_stem(f"accuracy_by_{first}_and_{second}"),
        title=f"{first_upper(run.metric.word)} by {words(first)} and {words(second)}",
        caption=f"{compared_words(run)} {how}",
        chart=chart,
        aside=aside,
    )


def cell_intervals(run: RunData, first: str, second: str) -> pd.DataFrame:
    """Return ``low`` and ``high`` (95 %) of the mean of each pair of levels (index).

    They are those of `analysis.effects.statistics.level_means`: missing without an estimate of
    chance.
    """
    trials = accuracy_at_common_epoch(run).set_index("trial_id")
    of = pd.MultiIndex.from_arrays([levels(trials[name]).astype(str) for name in (first, second)])
    numbers, cells = pd.factorize(of)
    means = level_means(run, pd.Series(numbers.astype(str), index=trials.index))
    found = means.loc[[str(number) for number in range(len(cells))], ["low", "high"]]
    return found.set_axis(pd.MultiIndex.from_tuples(cells, names=["row", "column"]))


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
    data: pd.DataFrame,
    y: tuple[str, str],
    x: tuple[str, str],
    metric: Metric,
    ends: pd.DataFrame | None = None,
) -> Chart:
    """Return a heat map of the means and a point plot.

    Args:
        data: What `analysis.effects.figure.prepare` returns.
        y: Name and label of the hyperparameter on the vertical axis.
        x: Name and label of that on the horizontal axis.
        metric: The metric.
        ends: What `cell_intervals` returns, shares in %; None without intervals.
    """
    names = [tuple(levels(data[name]).cat.categories) for name in (x[0], y[0])]
    across = Axis(label=x[1], names=names[0])
    means = cell_means(data, y[0], x[0])
    means = means.assign(low=np.nan, high=np.nan) if ends is None else means.join(ends)
    cells = _cells(means, names[0], names[1], metric)
    heat = Panel(
        x=across,
        y=Axis(label=y[1], names=names[1]),
        layers=(cells,),
        value_label=f"mean {metric.axis}",
        value_limits=colour_limits(float_array(data["accuracy"]), metric),
    )
    points = Panel(
        x=across, y=Axis(label=metric.axis), layers=tuple(_point_layers(data, means, y[0], x[0]))
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
    texts = [_cell_text(metric, *values) for values in cells.itertuples(index=False)]
    return Layer(
        kind="cells",
        x=np.array([columns.index(text) for text in column], float),
        y=np.array([rows.index(text) for text in row], float),
        values=float_array(cells["mean"]),
        texts=tuple(texts),
    )


def _cell_text(metric: Metric, mean: float, trials: int, low: float, high: float) -> str:
    value, *ends = (metric.text(each / metric.scale) for each in (mean, low, high))
    span = "" if np.isnan(low) else f"{ends[0].removesuffix(' %')} to {ends[1]}\n"
    return f"{value}\n{span}n = {trials}"


def _point_layers(
    data: pd.DataFrame, means: pd.DataFrame, first: str, second: str
) -> Iterator[Layer]:
    series, column = levels(data[first]), levels(data[second])
    at = pd.Series(column.cat.codes.astype(int), index=data.index)
    used = [text for text in series.cat.categories if (series == text).any()]
    shifts = np.linspace(-0.18, 0.18, len(used))
    for place, (text, shift) in enumerate(zip(used, shifts, strict=True)):
        rows = data[series == text]
        own = at[rows.index]
        mean = means.xs(text, level="row")
        at_column = [column.cat.categories.get_loc(name) for name in mean.index]
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
        yield Layer(
            kind="line",
            label=str(text),
            x=np.array(at_column, float) + shift,
            y=float_array(mean["mean"]),
            low=float_array(mean["low"]) if mean["low"].notna().any() else None,
            high=float_array(mean["high"]) if mean["low"].notna().any() else None,
            **look,
            size=6.5,
        )


def colour_limits(values: Any, metric: Metric) -> tuple[float, float]:
    """Return the limits of a colour scale for values of a metric, shares in %."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    least = LEAST_RANGE if metric.is_share else 0.0
    widen = max(0.0, least - (high - low)) / 2
    return low - widen, high + widen
