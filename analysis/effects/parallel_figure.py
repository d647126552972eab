"""Draws parallel coordinates: a line per trial through its hyperparameters to its accuracy."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.drawing.chart import Floats, Parallel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.effects.figure import compared_metric, compared_words, prepare, title
from analysis.effects.pairs_figure import colour_limits
from analysis.run.hyperparameters import is_continuous, is_wide, level_text, levels, searched
from analysis.run.metric import Metric
from analysis.run.run_data import RunData

TICKS = 5
"""Tick labels of a numeric axis."""
BAND = 0.7
"""Share of the part of a level on which its trials are spread; the rest parts the levels."""
Scale = tuple[Floats, tuple[tuple[float, str], ...]]


def parallel(run: RunData) -> Iterator[Drawing]:
    """Yield one figure if at least two hyperparameters were searched."""
    names = searched(run)
    data = prepare(run)
    data = data[data["accuracy"].notna()]
    if len(names) > 1:
        yield charted(
            name="parallel_coordinates",
            title=f"All hyperparameters and the {run.metric.word} at once",
            caption=f"{compared_words(run)} A line is a trial; its colour is its "
            f"{run.metric.word}; it has a gap where a hyperparameter does not belong to its part "
            f"of the space. At a level, lines are spread by their {run.metric.word}.",
            chart=parallel_chart(
                data, {name: title(run, name) for name in names}, compared_metric(run)
            ),
        )


def parallel_chart(data: pd.DataFrame, titles: dict[str, str], metric: Metric) -> Parallel:
    """Return an axis for each hyperparameter in ``titles``, and a last one for the metric."""
    scales = [_scale(data[name], data["accuracy"]) for name in titles]
    scales.append(_number_scale(data["accuracy"]))
    accuracy = float_array(data["accuracy"])
    return Parallel(
        labels=(*titles.values(), metric.axis),
        ticks=tuple(ticks for _, ticks in scales),
        places=np.column_stack([places for places, _ in scales]),
        values=accuracy,
        value_label=metric.axis,
        value_limits=colour_limits(accuracy, metric),
        trials=data["number"].to_numpy(int),
    )


def _scale(values: "pd.Series[float]", accuracy: "pd.Series[float]") -> Scale:
    return _number_scale(values) if is_continuous(values) else _level_scale(values, accuracy)


def _level_scale(values: "pd.Series[float]", accuracy: "pd.Series[float]") -> Scale:
    """Give each level an equal part of the axis, and spread its trials there by their accuracy.

    Missing values stay missing.
    """
    known = levels(values.dropna())
    names = list(known.cat.categories)
    at = (np.arange(len(names)) + 0.5) / len(names)
    own = accuracy[known.index].groupby(known, observed=True)
    shift = (own.rank(method="first") - 0.5) / own.transform("size") - 0.5
    places = (at[known.cat.codes] + shift * BAND / len(names)).reindex(values.index)
    return float_array(places), tuple(zip(at.tolist(), names, strict=True))


def _number_scale(values: "pd.Series[float]") -> Scale:
    """Scale numbers to 0…1 over their range, by their logarithms if it is wide."""
    numbers = float_array(values)
    log = is_wide(values)
    scaled = np.log10(numbers) if log else numbers
    low, high = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    at = np.linspace(0, 1, TICKS)
    told = low + at * (high - low)
    texts = [
        level_text(float(f"{number:.2g}" if log else f"{number:.3g}"))
        for number in (10**told if log else told)
    ]
    return (scaled - low) / ((high - low) or 1), tuple(zip(at.tolist(), texts, strict=True))
