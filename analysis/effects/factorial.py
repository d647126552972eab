"""The factorial model of a sweep: variance explained by each hyperparameter and each pair."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.effects.chance import (
    Chance,
    by_fold,
    chance_of_configurations,
    chance_of_folds,
    chance_of_seeds,
)
from analysis.effects.design import (
    NO_VERDICT,
    TABLES,
    Term,
    can_tell_pairs,
    contrasts,
    design,
    term_text,
    terms_of,
    with_verdicts,
)
from analysis.statistics.trainings import Trainings

COLUMNS = ["term", "df", "share", "f", "p_value", "p_adjusted", "verdict", "detectable"]

LEAST_SPREAD = 1e-12
"""Sums of squares up to this value are rounding errors."""

Error = Literal["replicates", "configurations", "none"]
"""What terms are tested against: the variance between replicates (fixed configurations), the
residual variance between configurations (sampled configurations), or nothing."""


def factorial(
    trainings: Trainings,
    levels: pd.DataFrame,
    *,
    interactions: bool,
    error: Error = "replicates",
) -> pd.DataFrame:
    """Split the variance of accuracies by hyperparameter, and test each term.

    Sums of squares are of type II: what a term explains beyond all others that do not contain it
    (Langsrud 2003, "ANOVA for unbalanced data: Use Type II instead of Type III sums of squares",
    Statistics and Computing 13). The tests are those of `analysis.effects.chance.Chance.test`.

    Args:
        trainings: The trainings.
        levels: A row per trial id, a column with the level of each hyperparameter.
        interactions: Whether to include pairs of hyperparameters, if the configurations identify
            all of them.
        error: What the terms are tested against.

    Returns:
        A row per term: ``term`` (hyperparameters joined by ×), ``df``, ``share`` (of the sum of
        squares about the mean: eta squared), ``f``, ``p_value``, ``p_adjusted`` and ``verdict``
        (`analysis.effects.design.with_verdicts`), ``detectable`` (for main effects, the smallest
        difference between two levels that would be shown with 80 % probability). The last rows are
        ``higher order`` (variance between configurations that no term explains) and ``seed``
        (variance between replicates). ``share`` is missing for a term with ``df`` 0, which the
        other terms determine, and for all terms if the accuracies are equal.
    """
    y = trainings.accuracy.loc[levels.index].to_numpy().astype(np.float64)
    terms = terms_of(levels, interactions=interactions and can_tell_pairs(levels))
    fitted = pd.DataFrame([_type_two(y, levels, terms, term) for term in terms])
    fitted = fitted.assign(term=[term_text(term) for term in terms])
    total = float(((y - y.mean()) ** 2).sum())
    fitted["share"] = _shares(fitted, total)
    of = levels_of_configurations(levels, trainings.configuration).loc[trainings.means.index]
    fitted = _tested(fitted, trainings.means, of, terms, _chance(trainings, of, terms, error))
    rest = _rest(trainings, y, levels, terms)
    rest["share"] = _shares(rest, total)
    frame = pd.concat([fitted, rest], ignore_index=True)
    return frame[COLUMNS]


def over_folds(
    cells: pd.DataFrame,
    levels: pd.DataFrame,
    held_out_ratio: float,
    *,
    interactions: bool,
    error: Error = "replicates",
) -> pd.DataFrame:
    """Split the variance of accuracies over folds by hyperparameter, and test each term.

    A term is tested against its interaction with folds: Hotelling's T² of its contrasts on each
    fold, with the correction of Nadeau and Bengio (`analysis.effects.chance.by_fold`). For a
    hyperparameter with two levels this is their corrected resampled t-test.

    Args:
        cells: Accuracies, configurations × folds, averaged over seeds; none is missing.
        levels: A row per configuration id, a column with the level of each hyperparameter.
        held_out_ratio: Number of validation pictures of a fold over that of training pictures.
        interactions: As in `factorial`.
        error: As in `factorial`; with ``replicates``, folds are the only error.

    Returns:
        The columns of `factorial`, a row per term.
    """
    terms = terms_of(levels, interactions=interactions and can_tell_pairs(levels))
    means, shared = cells.mean(axis=1), by_fold(cells, held_out_ratio)
    values = np.asarray(means, np.float64)
    chance: Chance | None = chance_of_folds(shared) if error == "replicates" else None
    if error == "configurations":
        chance = chance_of_configurations(values, shared, design(levels, terms))
    total = float(((cells.to_numpy(float) - values.mean()) ** 2).sum())
    fitted = pd.DataFrame([_type_two(values, levels, terms, term) for term in terms]).assign(
        term=[term_text(term) for term in terms]
    )
    fitted["share"] = _shares(fitted, total / cells.shape[1])
    return _tested(fitted, means, levels, terms, chance)[COLUMNS]


def levels_of_configurations(levels: pd.DataFrame, configuration: "pd.Series[str]") -> pd.DataFrame:
    """Return the levels of hyperparameters, a row per configuration instead of per trial."""
    return levels.groupby(configuration.loc[levels.index], sort=False).first()


def _shares(fitted: pd.DataFrame, total: float) -> "pd.Series[float]":
    known = (fitted["df"] > 0) & (total > LEAST_SPREAD)
    return fitted["sum_of_squares"].where(known) / max(total, LEAST_SPREAD)


def _chance(
    trainings: Trainings, levels: pd.DataFrame, terms: Sequence[Term], error: Error
) -> Chance | None:
    if error == "replicates":
        return chance_of_seeds(trainings)
    if error == "none":
        return None
    means = np.asarray(trainings.means, np.float64)
    return chance_of_configurations(means, trainings.by_picture, design(levels, terms))


def _type_two(
    y: npt.NDArray[np.float64], levels: pd.DataFrame, terms: Sequence[Term], term: Term
) -> dict[str, float]:
    others = [other for other in terms if not set(term) <= set(other)]
    without, rank_without = _fit(y, levels, others)
    within, rank_within = _fit(y, levels, [*others, term])
    return {"df": rank_within - rank_without, "sum_of_squares": max(0.0, without - within)}


def _fit(
    y: npt.NDArray[np.float64], levels: pd.DataFrame, terms: Sequence[Term]
) -> tuple[float, int]:
    """Return the residual sum of squares and the rank of the model with these terms."""
    columns = np.hstack([np.ones((len(y), 1)), *design(levels, terms)])
    effects, _, rank, _ = np.linalg.lstsq(columns, y)
    return float(((y - columns @ effects) ** 2).sum()), int(rank)


def _tested(
    fitted: pd.DataFrame,
    means: "pd.Series[float]",
    levels: pd.DataFrame,
    terms: Sequence[Term],
    chance: Chance | None,
) -> pd.DataFrame:
    """Add the tests of all terms; all values are missing if there is no error."""
    if chance is None:
        nothing = dict.fromkeys(["f", "p_value", "p_adjusted", "detectable"], np.nan)
        return fitted.assign(**nothing, verdict=NO_VERDICT)
    values = np.asarray(means, np.float64)
    tests = [chance.test(contrasts(levels, terms, term), values) for term in terms]
    f, p_value = ([getattr(test, key) for test in tests] for key in ("f", "p_value"))
    tested = with_verdicts(fitted.assign(f=f, p_value=p_value))
    family = TABLES * max(1, int(tested["p_value"].count()))  # 0 if no term is identified
    per_level = tested["term"].map(len(levels) / levels.nunique())
    of_one = np.array([test.error.detectable(family) for test in tests])
    return tested.assign(detectable=of_one * np.sqrt(2 / per_level))


def _rest(
    trainings: Trainings, y: npt.NDArray[np.float64], levels: pd.DataFrame, terms: Sequence[Term]
) -> pd.DataFrame:
    """Return the rows of unexplained variance: between configurations, and between replicates."""
    residual, rank = _fit(y, levels, terms)
    configuration = trainings.configuration.loc[levels.index].to_numpy()
    means = pd.Series(y).groupby(configuration).transform("mean").to_numpy()
    within = float(((y - means) ** 2).sum())
    count = len(np.unique(configuration))
    rows = [("higher order", count - rank, max(0.0, residual - within), NO_VERDICT)]
    rows += [("seed", len(y) - count, within, NO_VERDICT)] if len(y) > count else []
    return pd.DataFrame(rows, columns=["term", "df", "sum_of_squares", "verdict"])
