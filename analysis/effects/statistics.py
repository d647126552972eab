"""Effects of a run's hyperparameters: marginal means and explained variance."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from analysis.effects.chance import chance_of_configurations
from analysis.effects.design import is_complete
from analysis.effects.factorial import Error, factorial, levels_of_configurations, over_folds
from analysis.folds.statistics import by_fold, held_out_ratio
from analysis.run.hyperparameters import levels, searched
from analysis.run.run_data import RunData
from analysis.run.trainings import has_folds, trainings_at_common_epoch
from analysis.run.trials import accuracy_at_common_epoch
from analysis.statistics import pairs
from analysis.statistics.estimate import Estimate, NotKnownError
from analysis.statistics.trainings import Trainings, contrast

Judge = Callable[["pd.Series[float]", "pd.Series[str]"], Estimate]
"""Estimates a contrast from the weight of each configuration id, and its level."""


def effects(run: RunData) -> pd.DataFrame:
    """Split the variance of a run's accuracies by hyperparameter, and test each term.

    Includes all completed and early-stopped trials, at the last epoch that all of them reached.
    Of a k-fold run, only the folds that every configuration was trained on count. Interactions are
    estimated for grids only, because other searchers leave too few configurations per cell.

    Returns:
        The frame of `analysis.effects.factorial.factorial`, or for a k-fold run that of
        `analysis.effects.factorial.over_folds`.

    Raises:
        NotKnownError: No hyperparameter has two values, only one configuration finished, or fewer
            than two folds are complete.
    """
    trainings = trainings_at_common_epoch(run)
    table, error = level_table(run), error_of(run)
    grid = run.info.sampling == "every"
    if not has_folds(run):
        return factorial(trainings, table, interactions=grid, error=error)
    cells = by_fold(accuracy_at_common_epoch(run), "accuracy_at_epoch").dropna(axis="columns")
    if cells.shape[1] < 2:
        raise NotKnownError(
            "too few folds to judge the hyperparameters by: every configuration must be trained on "
            "the same two folds"
        )
    of = levels_of_configurations(table, trainings.configuration).loc[cells.index]
    return over_folds(cells, of, held_out_ratio(run), interactions=grid, error=error)


@lru_cache(maxsize=4)  # several sentences and figures ask
def known_effects(run: RunData) -> pd.DataFrame | None:
    """Return `effects`, or None if they are not known."""
    try:
        return effects(run)
    except NotKnownError:
        return None


def error_of(run: RunData) -> Error:
    """Return what the effects of a run are tested against.

    - Complete grid: replicates, because the run holds all configurations of the space.
    - Sampled configurations, or an incomplete grid: the residual variance between configurations.
    - Adaptive searcher: nothing, because its configurations are not a sample of the space.
    """
    if run.info.sampling == "adaptive":
        return "none"
    trainings = trainings_at_common_epoch(run)
    if run.info.sampling != "every":
        return "configurations"
    complete = is_complete(levels_of_configurations(level_table(run), trainings.configuration))
    return "replicates" if complete or not trainings.replicated else "configurations"


@lru_cache(maxsize=4)  # a table and a figure ask
def marginal_means(run: RunData) -> pd.DataFrame:
    """Compute the mean accuracy at each level of each hyperparameter, at the common epoch.

    On a grid the configurations are fixed, so the error comes from seeds and pictures only. Other
    searchers sample configurations, so the error includes their spread within a level. Adaptive
    searchers give no interval. For a k-fold run, each value is computed on every fold that all its
    configurations were trained on, and its interval is corrected for the pictures that folds share
    (`analysis.statistics.pairs.over_folds`).

    Returns:
        A row per hyperparameter and level: ``hyperparameter``, ``level`` (text),
        ``configurations``, ``trainings``, ``mean`` (over configurations, after averaging
        replicates), ``low`` and ``high`` (95 %), ``effect`` (the mean minus that of all levels),
        ``effect_low`` and ``effect_high`` (95 %). Intervals are missing if the error cannot be
        estimated.

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
        level: Trial id → level, for every comparable trial.

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
    trials = accuracy_at_common_epoch(run).set_index("trial_id")
    table = pd.DataFrame({name: levels(trials[name]) for name in searched(run)}, index=trials.index)
    varied = table.loc[:, table.nunique() > 1]
    if varied.empty:
        raise NotKnownError("no hyperparameter has two values among the comparable trials")
    return varied


def _judge(run: RunData, trainings: Trainings) -> Judge:
    """Return the function that estimates contrasts of a run's configurations."""
    if run.info.sampling == "adaptive":
        return lambda weights, _: _without_error(trainings, weights)
    if has_folds(run):
        table = by_fold(accuracy_at_common_epoch(run), "accuracy_at_epoch")
        ratio = held_out_ratio(run)
        return lambda weights, _: _over_folds(table, weights, ratio)
    if run.info.sampling == "every":
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
    """Estimate a contrast over the folds that all its configurations were trained on."""
    used = weights[weights != 0]
    own = table.loc[used.index].dropna(axis="columns")
    if own.shape[1] < 2:
        value = float(np.dot(used, table.loc[used.index].mean(axis="columns")))
        return Estimate(value=value, standard_error=np.nan)
    return pairs.over_folds(used.to_numpy(float) @ own.to_numpy(float), ratio)


def _fixed(trainings: Trainings, weights: "pd.Series[float]") -> Estimate:
    if trainings.replicated:
        return contrast(trainings, weights)
    return _without_error(trainings, weights)


def _without_error(trainings: Trainings, weights: "pd.Series[float]") -> Estimate:
    value = float(np.dot(weights, trainings.means[weights.index]))
    return Estimate(value=value, standard_error=np.nan)


def _drawn(trainings: Trainings, weights: "pd.Series[float]", of: "pd.Series[str]") -> Estimate:
    """Estimate a contrast of sampled configurations, which also differ within a level."""
    means = np.asarray(trainings.means, np.float64)
    level = pd.get_dummies(of.loc[trainings.means.index].astype(str)).to_numpy(np.float64)
    chance = chance_of_configurations(means, trainings.by_picture, [level])
    if chance is None:
        return _without_error(trainings, weights)
    return chance.contrast(np.asarray(weights.loc[trainings.means.index], np.float64), means)
