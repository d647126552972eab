"""The headline of a run: its best trial or average over folds, and its number of trials."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.folds.statistics import CORRECTED, FoldAverage, fold_average
from analysis.rendering.words import status_words
from analysis.run.clusters import single_intervals
from analysis.run.metric import Metric
from analysis.run.run_data import RunData
from analysis.run.trials import incumbent
from analysis.selection.statistics import estimates


def headline(run: RunData) -> dict[str, str]:
    """Return the value that a page shows in large type, by its label.

    It is the least biased one that is known: on the test split, else corrected for the selection,
    else as measured. The label has its interval and the value by which the incumbent was picked.
    """
    average, metric = fold_average(run), run.metric
    if average is not None:
        return {"best average over folds": metric.text(average.accuracy)}
    measured = metric.text(float(best_trial(run)["accuracy"]))
    rows, picked = estimates(run), f"as picked on validation: {measured}"
    if "test" in rows:
        return _with_interval(metric, rows["test"], "test accuracy of the incumbent", picked)
    if "corrected" in rows:
        what = f"{metric.long} of the incumbent, corrected for picking it"
        return _with_interval(metric, rows["corrected"], what, picked)
    return {f"{metric.long} of the incumbent, as picked": measured}


def _with_interval(
    metric: Metric, row: Mapping[Any, Any], what: str, picked: str
) -> dict[str, str]:
    low, high = metric.text(row["accuracy_low"]), metric.text(row["accuracy_high"])
    return {f"{what} (95 % interval {low} to {high}; {picked})": metric.text(row["accuracy"])}


def best_trial(run: RunData) -> "pd.Series[Any]":
    """Return the incumbent with its ``accuracy`` and Wilson interval."""
    first = incumbent(run).to_frame().T
    accuracy = first[run.value_column].astype(float)
    interval = single_intervals(run, accuracy, first)
    return pd.concat([first, interval], axis=1).assign(accuracy=accuracy).iloc[0]


def fold_words(metric: Metric, average: FoldAverage) -> str:
    """Return the second part of a sentence about the best configuration over folds."""
    folds = average.per_fold
    n = f", n = {average.pictures:,} pictures" if average.pictures else ""
    return (
        f"by its average over {len(folds)} folds is {average.name}: {metric.long} "
        f"{metric.text(average.accuracy)} (95 % interval {metric.text(average.low)} to "
        f"{metric.text(average.high)}, {CORRECTED}){n}; single folds reach from "
        f"{metric.text(folds.min())} to {metric.text(folds.max())}"
    )


def status_counts(run: RunData) -> dict[str, int]:
    """Return the number of trials by status in words, most frequent first."""
    counts = (
        run.trials["status"].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    )
    return {status_words(str(status)): int(count) for status, count in counts.items()}


def percent(share: float) -> str:
    """Format a share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"
