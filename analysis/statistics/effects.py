"""Effects of the hyperparameters of a run: their marginal means and what they explain."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.hyperparameters import levels, searched
from analysis.run_data import RunData
from analysis.statistics.estimate import Estimate, NotKnownError
from analysis.statistics.factorial import factorial
from analysis.statistics.mixed import mixed
from analysis.statistics.sources import (
    folds_in_a_repeat,
    has_folds,
    trainings_at_common_epoch,
)
from analysis.statistics.trainings import Trainings, contrast

FAIR_SEARCHERS = ("grid", "random", "sobol")
"""Searchers that look at no result, so that what they sampled is a fair sample."""
LEAST_DF = 3
"""A spread of drawn configurations with fewer degrees of freedom is no error to judge by."""


def effects(run: RunData) -> pd.DataFrame:
    """Split the variance of the accuracies of a run by its hyperparameters.

    All completed and early-stopped trials enter, at the last epoch that all of them reached.
    Interactions are told for grids only: elsewhere their cells are too thinly filled.

    Returns:
        The frame of `analysis.statistics.factorial.factorial`, or over folds that of
        `analysis.statistics.mixed.mixed`.

    Raises:
        NotKnownError: No hyperparameter has two values, or only one configuration finished.
    """
    trainings = trainings_at_common_epoch(run)
    table = level_table(run)
    grid = run.info.searcher == "grid"
    if has_folds(run):
        folds = run.trials.set_index("trial_id")["fold"].loc[table.index]
        ratio = 1 / (folds_in_a_repeat(run) - 1)
        return mixed(trainings.accuracy, table, folds, ratio, interactions=grid)
    return factorial(trainings, table, interactions=grid)


def marginal_means(run: RunData) -> pd.DataFrame:
    """Compute the mean accuracy at each level of each hyperparameter, at the common epoch.

    On a grid the configurations are fixed, and chance comes from seeds and pictures alone; other
    searchers draw configurations, whose spread within a level is then the error.

    Returns:
        A row per hyperparameter and level: ``hyperparameter``, ``level`` (text),
        ``configurations``, ``trainings``, ``mean`` (over configurations, replicates averaged
        first), ``low`` and ``high`` (95 %), ``effect`` (the mean less that of all levels),
        ``effect_low`` and ``effect_high`` (95 %). Intervals are missing where there is no error
        to make them of.

    Raises:
        NotKnownError: No hyperparameter has two values, or only one configuration finished.
    """
    trainings = trainings_at_common_epoch(run)
    table = level_table(run)
    rows = [
        row
        for name in table
        for row in _levels_of(trainings, table[name], fixed=run.info.searcher == "grid")
    ]
    return pd.DataFrame(rows)


def level_table(run: RunData) -> pd.DataFrame:
    """Return the level of each searched, untied hyperparameter: a row per comparable trial.

    Raises:
        NotKnownError: No hyperparameter has two values, or only one configuration finished.
    """
    trials = run.comparable.set_index("trial_id")
    table = pd.DataFrame({name: levels(trials[name]) for name in searched(run)}, index=trials.index)
    varied = table.loc[:, table.nunique() > 1]
    if varied.empty or trials["configuration_id"].nunique() < 2:
        raise NotKnownError("no hyperparameter has two values among the comparable trials")
    return varied


def _levels_of(
    trainings: Trainings, level: "pd.Series[str]", *, fixed: bool
) -> Iterator[dict[str, object]]:
    """Yield the rows of one hyperparameter, in the order of its levels."""
    of = level.groupby(trainings.configuration, sort=False).first()
    counts = of.value_counts(sort=False)
    counts = counts[counts > 0]
    average = 1 / of.map(counts).astype(float) / len(counts)
    for text, count in counts.items():
        weights = (of == text) / count
        estimates = {
            key: _fixed(trainings, chosen) if fixed else _drawn(trainings, chosen, of)
            for key, chosen in (("mean", weights), ("effect", weights - average))
        }
        yield {
            "hyperparameter": level.name,
            "level": text,
            "configurations": int(count),
            "trainings": int((level == text).sum()),
            **_told("mean", "", estimates["mean"]),
            **_told("effect", "effect_", estimates["effect"]),
        }


def _told(name: str, prefix: str, estimate: Estimate) -> dict[str, float]:
    low, high = estimate.interval()
    return {name: estimate.value, f"{prefix}low": low, f"{prefix}high": high}


def _fixed(trainings: Trainings, weights: "pd.Series[float]") -> Estimate:
    if trainings.replicated:
        return contrast(trainings, weights)
    value = float(np.dot(weights, trainings.means[weights.index]))
    return Estimate(value=value, standard_error=np.nan)


def _drawn(trainings: Trainings, weights: "pd.Series[float]", of: "pd.Series[str]") -> Estimate:
    """Estimate a contrast of configurations that were drawn, each with one mean of its own."""
    means = trainings.means[weights.index]
    groups = means.groupby(of, observed=True)
    df = len(means) - groups.ngroups
    left = (means - groups.transform("mean")).to_numpy(float)
    variance = left @ left / df * np.dot(weights, weights) if df >= LEAST_DF else np.nan
    return Estimate(
        value=float(np.dot(weights, means)), standard_error=float(np.sqrt(variance)), df=max(df, 1)
    )
