"""The factorial model of a sweep: what each hyperparameter and each pair of them explains."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.effects.design import (
    NO_VERDICT,
    Term,
    can_tell_pairs,
    design,
    term_text,
    terms_of,
    with_verdicts,
)
from analysis.statistics.estimate import Estimate, combined
from analysis.statistics.trainings import Trainings


def factorial(trainings: Trainings, levels: pd.DataFrame, *, interactions: bool) -> pd.DataFrame:
    """Split the variance of accuracies by hyperparameters, with the replicates as error.

    Sums of squares of type II: what a term explains beyond all others that do not contain it
    (Langsrud 2003, "ANOVA for unbalanced data: Use Type II instead of Type III sums of squares",
    Statistics and Computing 13). The error is that between trainings of the same configuration,
    and what the choice of pictures adds to it (`error_of_one`). Without replicates there is no
    error and no verdict.

    Args:
        trainings: The trainings.
        levels: Trial id → the level of each hyperparameter; a column each.
        interactions: Whether pairs of hyperparameters are terms too.

    Returns:
        A row per term: ``term`` (hyperparameters joined by ×), ``df``, ``share`` (of the sum of
        squares about the mean: eta squared), ``f``, ``p_value``, ``p_adjusted`` (Holm over all
        terms), ``verdict``, ``detectable`` (main effects: the smallest difference between two
        levels that would have been shown with 80 % probability). Last come ``higher order``, what
        no term explains between configurations, and ``seed``, what replicates differ by. A term
        with ``df`` 0 cannot be told from the others.
    """
    y = trainings.accuracy.loc[levels.index].to_numpy().astype(np.float64)
    terms = terms_of(levels, interactions=interactions and can_tell_pairs(levels))
    fitted = pd.DataFrame([_type_two(y, levels, terms, term) for term in terms])
    fitted = fitted.assign(term=[term_text(term) for term in terms])
    total = float(((y - y.mean()) ** 2).sum())
    fitted = _tested(fitted, trainings, levels)
    rest = _rest(trainings, y, levels, terms)
    frame = pd.concat([fitted, rest], ignore_index=True)
    frame["share"] = frame["sum_of_squares"] / total if total > 0 else 0.0
    return frame[["term", "df", "share", "f", "p_value", "p_adjusted", "verdict", "detectable"]]


def error_of_one(trainings: Trainings) -> Estimate:
    """Return the standard error of one training's accuracy about its configuration's effect.

    The variance between replicates, pooled, and R times that of the interaction of configurations
    and pictures, estimated by the two-way analysis of variance of `Trainings.shares`:
    configurations that are equal on all pictures there are still differ on those in validation.
    """
    df = trainings.seeds_df
    own = trainings.accuracy.groupby(trainings.configuration, sort=False).var().fillna(0.0)
    pooled = float((own * (trainings.replicates - 1)).sum() / df)
    return combined(0.0, [(pooled, df), _interaction_variance(trainings)])


def _interaction_variance(trainings: Trainings) -> tuple[float, float]:
    if trainings.shares is None or len(trainings.shares) < 2:
        return 0.0, np.inf
    shares = trainings.shares.to_numpy()
    rows, n = shares.shape
    left = shares - shares.mean(axis=1, keepdims=True) - shares.mean(axis=0) + shares.mean()
    df = (rows - 1) * (n - 1)
    noise = float(trainings.noise.mean())
    replicates = len(trainings.accuracy) / rows
    return max(0.0, ((left**2).sum() / df - noise) / n) * replicates, df


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


def _tested(fitted: pd.DataFrame, trainings: Trainings, levels: pd.DataFrame) -> pd.DataFrame:
    """Add the tests of all terms, without figures where replicates give no error."""
    if not trainings.replicated:
        nothing = dict.fromkeys(["f", "p_value", "p_adjusted", "detectable"], np.nan)
        return fitted.assign(**nothing, verdict=NO_VERDICT)
    error = error_of_one(trainings)
    df = fitted["df"].where(fitted["df"] > 0)
    f = fitted["sum_of_squares"] / df / error.standard_error**2
    tested = with_verdicts(fitted.assign(f=f, p_value=stats.f.sf(f, df, error.df)))
    per_level = tested["term"].map(len(levels) / levels.nunique())
    of_two = Estimate(value=0.0, standard_error=error.standard_error * 2**0.5, df=error.df)
    family = max(1, int(df.count()))  # 0 where no term can be told from another
    return tested.assign(detectable=of_two.detectable(family) / per_level**0.5)


def _rest(
    trainings: Trainings, y: npt.NDArray[np.float64], levels: pd.DataFrame, terms: Sequence[Term]
) -> pd.DataFrame:
    """Return the rows of what is left: between configurations, and between their replicates."""
    residual, rank = _fit(y, levels, terms)
    configuration = trainings.configuration.loc[levels.index].to_numpy()
    means = pd.Series(y).groupby(configuration).transform("mean").to_numpy()
    within = float(((y - means) ** 2).sum())
    count = len(np.unique(configuration))
    rows = [("higher order", count - rank, max(0.0, residual - within), NO_VERDICT)]
    rows += [("seed", len(y) - count, within, NO_VERDICT)] if len(y) > count else []
    return pd.DataFrame(rows, columns=["term", "df", "sum_of_squares", "verdict"])
