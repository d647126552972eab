"""The table of searchers: what several runs of each found for the same cost."""

from collections.abc import Sequence
from math import nan

import numpy as np
import pandas as pd
from scipy import stats

from analysis.curves.progress_figure import objective_metric, prepare, spent_column
from analysis.rendering.digits import signed
from analysis.rendering.table import Column, Table, View, number_text
from analysis.run.run_data import RunData
from analysis.statistics.estimate import CONFIDENCE

LEAST_RUNS = 2
"""Runs of a searcher from which an error can be estimated."""


def searchers_table(runs: Sequence[RunData]) -> Table | None:
    """Compare the best value so far of searchers, at the cost that every run has spent.

    Each run is one observation, so runs of a searcher should differ in the seed of the spec only.

    Returns:
        A row per searcher and scheduler, best first: ``searcher``, ``runs``, ``value`` (mean of the
        best values so far) with ``value_low`` and ``value_high`` (95 %, t), and ``difference`` from
        the first row with ``difference_low`` and ``difference_high`` (Welch's t). None if there are
        not two searchers with two runs each, or the cost of the runs is not measured alike.
    """
    values = _values_at_equal_cost(runs)
    if values is None:
        return None
    sign = objective_metric(runs[0]).sign
    groups = {
        name: own for name, own in values.groupby("searcher")["value"] if len(own) >= LEAST_RUNS
    }
    if len(groups) < LEAST_RUNS:
        return None
    ordered = sorted(groups, key=lambda name: -sign * groups[name].mean())
    rows = [_row(str(name), groups[name], groups[ordered[0]]) for name in ordered]
    return _table(pd.DataFrame(rows), runs[0], values)


def _values_at_equal_cost(runs: Sequence[RunData]) -> pd.DataFrame | None:
    """Return ``searcher`` and ``value`` of each run when it had spent what every run has."""
    frames = [prepare(run) for run in runs]
    columns = {spent_column(frame) for frame in frames}
    objectives = {tuple(run.info.objective.items()) for run in runs}
    if len(columns) > 1 or len(objectives) > 1:
        return None
    (column,) = columns
    cost = min(float(frame[column].max()) for frame in frames)
    scale = objective_metric(runs[0]).scale
    values = [_best_at(frame, column, cost) / scale for frame in frames]
    names = [f"{run.info.searcher} with {run.info.scheduler}" for run in runs]
    frame = pd.DataFrame({"searcher": names, "value": values}).dropna()
    frame.attrs.update(cost=cost, column=column)
    return frame


def _best_at(data: pd.DataFrame, column: str, cost: float) -> float:
    """Return the best value so far at a cost, in the units of the metric's charts."""
    known = data[(data[column] <= cost) & data["best"].notna()]
    return float(known["best"].iloc[-1]) if len(known) else nan


def _row(name: str, own: "pd.Series[float]", first: "pd.Series[float]") -> dict[str, object]:
    mean, error = float(own.mean()), float(stats.sem(own))
    reach = error * float(stats.t.isf((1 - CONFIDENCE) / 2, len(own) - 1))
    row = {
        "searcher": name,
        "runs": len(own),
        "value": mean,
        "value_low": mean - reach,
        "value_high": mean + reach,
    }
    if own is first:
        return {**row, "difference": 0.0, "difference_low": nan, "difference_high": nan}
    welch = stats.ttest_ind(own, first, equal_var=False).confidence_interval(CONFIDENCE)
    low, high = np.array([welch.low, welch.high], dtype=float)
    difference = mean - float(first.mean())
    return {**row, "difference": difference, "difference_low": low, "difference_high": high}


def _table(frame: pd.DataFrame, run: RunData, values: pd.DataFrame) -> Table:
    unit = "device-hours" if values.attrs["column"] == "device_hours" else "epochs"
    cost, metric = values.attrs["cost"], objective_metric(run)
    text = metric.cells(number_text)
    columns = (
        Column(key="searcher", heading="searcher"),
        Column(key="runs", heading="runs"),
        Column(key="value", heading="best so far", text=text),
        Column(key="value_low", upper_key="value_high", heading="95 % interval", text=text),
        Column(key="difference", heading="from the first", text=signed(text)),
        Column(
            key="difference_low",
            upper_key="difference_high",
            heading="95 % interval of the difference",
            text=signed(text),
        ),
    )
    return Table(
        name="searchers",
        frame=frame,
        views=(View(title="Searchers at equal cost", columns=columns),),
        notes=(
            f"The best {metric.long} so far when each run had spent {cost:.3g} {unit}, the most "
            "that all have. Each run is one observation, so runs of one searcher should differ "
            "only in the seed of the spec. Intervals: t of the mean, Welch's t of a difference.",
        ),
    )
