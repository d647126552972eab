"""The factorial model over folds: hyperparameters as fixed effects, the fold as a random one."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from analysis.effects.design import (
    can_tell_pairs,
    design,
    independent,
    term_text,
    terms_of,
    with_verdicts,
)
from analysis.statistics.estimate import NotKnownError


def mixed(
    accuracy: "pd.Series[float]",
    levels: pd.DataFrame,
    folds: "pd.Series[int]",
    held_out_ratio: float,
    *,
    interactions: bool,
) -> pd.DataFrame:
    """Test each hyperparameter in a mixed-effects model with a random intercept for the fold.

    Laird and Ware (1982), "Random-Effects Models for Longitudinal Data", Biometrics 38(4), by
    restricted maximum likelihood; Wald tests of the fixed effects. Folds share training pictures,
    so each Wald statistic is divided by the factor by which Nadeau and Bengio (2003, equation 9)
    enlarge the variance over J folds: 1 + J·``held_out_ratio``.

    Args:
        accuracy: Trial id → accuracy.
        levels: Trial id → the level of each hyperparameter; a column each.
        folds: Trial id → fold; those of repeats are folds of their own.
        held_out_ratio: Pictures judged on in a fold over those trained on.
        interactions: Whether pairs of hyperparameters are terms too.

    Returns:
        A row per term: ``term``, ``df``, ``share`` (of the variance of all accuracies, that
        its fitted values have), ``f``, ``p_value``, ``p_adjusted``,
        ``verdict``.

    Raises:
        NotKnownError: Fewer trials than the model has effects.
    """
    accuracy, folds = accuracy.loc[levels.index], folds.loc[levels.index]
    terms = terms_of(levels, interactions=interactions and can_tell_pairs(levels))
    blocks = [np.ones((len(levels), 1)), *design(levels, terms)]
    matrix = np.hstack(blocks)
    kept = list(independent(matrix, int(np.linalg.matrix_rank(matrix))))
    owner = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])[kept]
    left = len(levels) - len(kept) - folds.nunique() + 1
    if left < 1:
        raise NotKnownError("too few folds to judge the hyperparameters by; train more of them")
    fit = _fit(accuracy, matrix[:, kept], folds)
    overlap = 1 + folds.nunique() * held_out_ratio
    rows = [
        {"term": term_text(term), **_wald(fit, np.flatnonzero(owner == place), overlap, left)}
        for place, term in enumerate(terms, start=1)
    ]
    return with_verdicts(pd.DataFrame(rows))


def _fit(accuracy: "pd.Series[float]", matrix: Any, folds: "pd.Series[int]") -> Any:
    with warnings.catch_warnings():
        # Folds that differ by nothing but chance have the variance 0, the edge of its range.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        scaled = (accuracy / accuracy.std()).to_numpy(float)  # its optimiser takes sizes near 1
        return MixedLM(scaled, matrix, groups=folds.to_numpy(int)).fit(reml=True)


def _wald(fit: Any, places: Any, overlap: float, left: int) -> dict[str, float]:
    """Test the effects at ``places`` together, and tell the share of variance they explain."""
    if len(places) == 0:
        return {"df": 0, "share": 0.0, "f": np.nan, "p_value": np.nan}
    effects = fit.fe_params[places]
    covariance = np.asarray(fit.cov_params())[np.ix_(places, places)]
    f = float(effects @ np.linalg.solve(covariance, effects)) / len(places) / overlap
    fitted = fit.model.exog[:, places] @ effects
    return {
        "df": len(places),
        "share": float(fitted.var() / fit.model.endog.var()),
        "f": f,
        "p_value": float(stats.f.sf(f, len(places), left)),
    }
