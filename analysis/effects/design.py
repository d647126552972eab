"""Terms of a factorial model, the columns that code them, and what may be said of each."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.effects.chance import orthonormal
from analysis.statistics.estimate import ALPHA
from analysis.statistics.verdicts import holm

MATTERS = "matters"
SMALL = "shown, but tiny"
"""Verdict of an effect that explains less than `LEAST_SHARE` of the variance, 0 % when printed."""
LEAST_SHARE = 0.005
NO_EFFECT = "no effect shown"
NO_VERDICT = ""

Term = tuple[str, ...]
"""One hyperparameter, or two of them: their interaction."""


def terms_of(levels: pd.DataFrame, *, interactions: bool) -> list[Term]:
    """Return every column of ``levels`` as a term, then every pair of them."""
    names = [str(name) for name in levels]
    pairs = list(combinations(names, 2)) if interactions else []
    return [*((name,) for name in names), *pairs]


def design(levels: pd.DataFrame, terms: Sequence[Term]) -> list[npt.NDArray[np.float64]]:
    """Code each term in columns that add up to zero over its levels.

    Returns:
        For each term an array (trials, columns); columns of an interaction are the products of
        those of its two hyperparameters. Some depend on others where cells are empty.
    """
    coded = {str(name): _coded(levels[name]) for name in levels}
    return [_product([coded[name] for name in term]) for term in terms]


def can_tell_pairs(levels: pd.DataFrame) -> bool:
    """Tell whether the configurations suffice to tell every pair of hyperparameters apart."""
    blocks = design(levels, terms_of(levels, interactions=True))
    columns = np.hstack([np.ones((len(levels), 1)), *blocks])
    return bool(np.linalg.matrix_rank(columns) == columns.shape[1])


def contrasts(levels: pd.DataFrame, terms: Sequence[Term], term: Term) -> npt.NDArray[np.float64]:
    """Return what a term adds to all others that do not contain it, as weights.

    Args:
        levels: The level of each hyperparameter, a row per configuration.
        terms: All terms of the model.
        term: One of them.

    Returns:
        (q, configurations) orthonormal weights; q is 0 where it cannot be told from the others.
    """
    others = [other for other in terms if not set(term) <= set(other)]
    basis = orthonormal(np.hstack([np.ones((len(levels), 1)), *design(levels, others)]))
    (own,) = design(levels, [term])
    return orthonormal(own - basis @ (basis.T @ own)).T


def is_complete(levels: pd.DataFrame) -> bool:
    """Tell whether each combination of levels is there, in equally many configurations."""
    counts = levels.astype(str).value_counts()
    return len(counts) == levels.nunique().prod() and counts.nunique() == 1


def with_verdicts(fitted: pd.DataFrame) -> pd.DataFrame:
    """Add ``p_adjusted`` (Holm over all terms that have a ``p_value``) and ``verdict``."""
    known = fitted["p_value"].notna()
    adjusted = pd.Series(np.nan, index=fitted.index)
    adjusted[known] = holm(fitted.loc[known, "p_value"])
    shown = np.where(fitted["share"] < LEAST_SHARE, SMALL, MATTERS)
    verdicts = np.where(adjusted < ALPHA, shown, NO_EFFECT)
    return fitted.assign(p_adjusted=adjusted, verdict=np.where(known, verdicts, NO_VERDICT))


def term_text(term: Term) -> str:
    """Write a term: its hyperparameters joined by ×."""
    return " × ".join(term)


def _coded(level: "pd.Series[str]") -> npt.NDArray[np.float64]:
    dummies = pd.get_dummies(level.astype(str)).to_numpy(np.float64)
    coded: npt.NDArray[np.float64] = dummies[:, :-1] - dummies[:, -1:]
    return coded


def _product(blocks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    product: npt.NDArray[np.float64] = blocks[0]
    for block in blocks[1:]:
        product = (product[:, :, None] * block[:, None, :]).reshape(len(product), -1)
    return product
