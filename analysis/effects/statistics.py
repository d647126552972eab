"""Effects of the hyperparameters of a run: their marginal means and what they explain."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from analysis.effects.factorial import factorial
from analysis.effects.mixed import mixed
from analysis.folds.statistics import by_fold, held_out_ratio
from analysis.run.hyperparameters import levels, searched
from analysis.run.run_data import RunData
from analysis.run.trainings import has_folds, trainings_at_common_epoch
from analysis.run.trials import accuracy_at_common_epoch
from analysis.statistics.estimate import Estimate, NotKnownError
from analysis.statistics.pairs import over_folds
from analysis.statistics.trainings import Trainings, contrast

FAIR_SEARCHERS = ("grid", "random", "sobol")
"""Searchers that look at no result, so that what they sampled is a fair sample."""
LEAST_DF = 3
"""A spread of drawn configurations with fewer degrees of freedom is no error to judge by."""

Judge = Callable[["pd.Series[float]", "pd.Series[str]"], Estimate]
"""What estimates a contrast: configuration id → weight, and → level of the hyperparameter."""


def effects(run: RunData) -> pd.DataFrame:
    """Split the variance of the accuracies of a run by its hyperparameters.

    All completed and early-stopped trials enter, at the last epoch that all of them reached.
    Interactions are told for grids only: elsewhere their cells are too thinly filled.

    Returns:
        The frame of `analysis.effects.factorial.factorial`, or over folds that of
        `analysis.effects.mixed.mixed`.

    Raises:
        NotKnownError: No hyperparameter has two values, or only one configuration finished.
    """
    trainings = trainings_at_common_epoch(run)
    table = level_table(run)
    grid = run.info.searcher == "grid"
    if has_folds(run):
        folds = run.trials.set_index("trial_id")["fold"].loc[table.index]
        ratio = held_out_ratio(run)
        return mixed(trainings.accuracy, table, folds, ratio, interactions=grid)
    return factorial(trainings, table, interactions=grid)


def marginal_means(run: RunData) -> pd.DataFrame:
    """Compute the mean accuracy at each level of each hyperparameter, at the common epoch.

    On a grid the configurations are fixed, and chance comes from seeds and pictures alone; other
    searchers draw configurations, whose spread within a level is then the error. Over folds each
    figure is computed fold by fold, on those that all its configurations were trained on, and its
    interval is corrected for what folds share (`analysis.statistics.pairs.over_folds`).

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
    table, judge = level_table(run), _judge(run, trainings)
    return pd.DataFrame(
        [row for name in table for row in _levels_of(trainings, table[name], judge)]
    )


def level_means(run: RunData, level: "pd.Series[str]") -> pd.DataFrame:
    """Compute the mean accuracy at each level of any hyperparameter, as `marginal_means` does.

    Args:
        run: The run.
        level: Trial id → level, of every comparable trial.

    Returns:
        Index: the levels. Columns: ``mean``, ``low`` and ``high``.
    """
    trainings = trainings_at_common_epoch(run)
    of, counts = _configurations_at(trainings, level)
    judge = _judge(run, trainings)
    means = {text: judge((of == text) / count, of) for text, count in counts.items()}
    rows = {text: _told("mean", "", estimate) for text, estimate in means.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"])


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


def _judge(run: RunData, trainings: Trainings) -> Judge:
    """Return what estimates contrasts of the configurations of a run."""
    if has_folds(run):
        table = by_fold(accuracy_at_common_epoch(run), "accuracy_at_epoch")
        ratio = held_out_ratio(run)
        return lambda weights, _: _over_folds(table, weights, ratio)
    if run.info.searcher == "grid":
        return lambda weights, _: _fixed(trainings, weights)
    return partial(_drawn, trainings)


def _levels_of(
    trainings: Trainings, level: "pd.Series[str]", judge: Judge
) -> Iterator[dict[str, object]]:
    """Yield the rows of one hyperparameter, in the order of its levels."""
    of, counts = _configurations_at(trainings, level)
    average = 1 / of.map(counts).astype(float) / len(counts)
    for text, count in counts.items():
        weights = (of == text) / count
        estimates = {
            key: judge(chosen, of)
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


def _configurations_at(
    trainings: Trainings, level: "pd.Series[str]"
) -> tuple["pd.Series[str]", "pd.Series[int]"]:
    """Return the level of each configuration, and the number of configurations at each level."""
    of = level.groupby(trainings.configuration, sort=False).first()
    counts = of.value_counts(sort=False)
    return of, counts[counts > 0]


def _told(name: str, prefix: str, estimate: Estimate) -> dict[str, float]:
    low, high = estimate.interval()
    return {name: estimate.value, f"{prefix}low": low, f"{prefix}high": high}


def _over_folds(table: pd.DataFrame, weights: "pd.Series[float]", ratio: float) -> Estimate:
    """Estimate a contrast on each fold that all its configurations have, then over these folds."""
    used = weights[weights != 0]
    own = table.loc[used.index].dropna(axis="columns")
    if own.shape[1] < 2:
        value = float(np.dot(used, table.loc[used.index].mean(axis="columns")))
        return Estimate(value=value, standard_error=np.nan)
    return over_folds(used.to_numpy(float) @ own.to_numpy(float), ratio)


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
