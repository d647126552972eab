"""The headline of a run: its best trial or average over folds, and its number of trials."""

from typing import Any

import pandas as pd

from analysis.folds.statistics import CORRECTED, FoldAverage, fold_average
from analysis.rendering.words import status_words
from analysis.run.clusters import single_intervals
from analysis.run.metric import Metric
from analysis.run.run_data import RunData
from analysis.run.trials import incumbent


def headline(run: RunData) -> dict[str, str]:
    """Return the value that a page shows in large type, by its label."""
    average, metric = fold_average(run), run.metric
    if average is not None:
        return {"best average over folds": metric.text(average.accuracy)}
    return {f"{metric.long} of the incumbent": metric.text(float(best_trial(run)["accuracy"]))}


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
