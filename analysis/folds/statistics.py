"""Averages of configurations over folds, with intervals that account for overlapping folds."""

from dataclasses import dataclass

import pandas as pd

from analysis.run.run_data import RunData
from analysis.run.trainings import folds_in_a_repeat, has_folds
from analysis.run.trials import fairly_trained, incumbent
from analysis.statistics.pairs import over_folds

CORRECTED = "corrected for training pictures that folds share (Nadeau and Bengio 2003)"
"""Description of every interval over folds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldAverage:
    """The average of a configuration over its folds."""

    configuration_id: str
    name: str
    accuracy: float
    """Mean over the folds, with its 95 % interval ``low`` to ``high``."""
    low: float
    high: float
    per_fold: "pd.Series[float]"
    """Fold → accuracy, averaged over seeds."""
    pictures: int | None
    """Total number of validation pictures of the folds of a repeat; None without predictions."""


def fold_average(run: RunData) -> FoldAverage | None:
    """Return the average of the incumbent, the configuration that is best on average.

    None if no configuration was trained on two folds.
    """
    if not has_folds(run):
        return None
    first, trials = str(incumbent(run)["configuration_id"]), fairly_trained(run)
    own = trials[trials["configuration_id"] == first]
    if own["fold"].nunique() < 2:
        return None
    average = fold_means(own, held_out_ratio(run)).iloc[0]
    return FoldAverage(
        configuration_id=first,
        name=str(own["name"].iloc[0]),
        accuracy=float(average["accuracy"]),
        low=float(average["accuracy_low"]),
        high=float(average["accuracy_high"]),
        per_fold=by_fold(own, "accuracy").iloc[0],
        pictures=pictures_of_folds(run, own),
    )


def held_out_ratio(run: RunData) -> float:
    """Return the ratio of validation to training pictures of a fold: 1 / (k - 1) for k folds."""
    return 1 / (folds_in_a_repeat(run) - 1)


def by_fold(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return ``column`` as configurations × folds, averaged over the seeds of a fold."""
    table = trials.pivot_table(index="configuration_id", columns="fold", values=column)
    return table.astype(float)


def fold_means(trials: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """Average the accuracy of each configuration over the seeds of a fold, then over folds.

    Args:
        trials: A row per training: ``configuration_id``, ``fold``, ``accuracy``, ``trial_id``.
        ratio: See `held_out_ratio`.

    Returns:
        A row per configuration with at least two folds, with the columns of
        `analysis.comparisons.statistics.Comparisons.means`.
    """
    rows = {}
    for name, own in trials.groupby("configuration_id", sort=False):
        per_fold = own.groupby("fold")["accuracy"].mean().to_numpy(float)
        if len(per_fold) > 1:
            found = over_folds(per_fold, ratio)
            rows[name] = (found.value, *found.interval(), len(own), own["trial_id"].iloc[0])
    columns = ["accuracy", "accuracy_low", "accuracy_high", "trainings", "trial_id"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def pictures_of_folds(run: RunData, trials: pd.DataFrame) -> int | None:
    """Return the total validation pictures of the folds of a repeat; None without predictions."""
    per_fold = trials.groupby("fold")["n"].max()
    repeats = per_fold.index.to_series() // folds_in_a_repeat(run)
    return int(per_fold.groupby(repeats).sum().max()) or None
