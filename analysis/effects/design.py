"""Terms of a factorial model, their design columns and contrasts, and their verdicts."""

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
"""Verdict of a significant effect that explains less than `LEAST_SHARE` of the variance."""
LEAST_SHARE = 0.005
"""Smaller shares of the variance would print as 0 %."""
NO_EFFECT = "no effect shown"
NO_VERDICT = ""
TABLES = 2
"""Tables of a report that test whether anything differs: of effects, and of configurations.

Each p-value of the effects is multiplied by this number (Bonferroni), which leaves half of the 5 %
to the comparisons of configurations. These need no further factor: the adjustment for all pairs
is strict, so in simulated sweeps of equal configurations they are wrong in 1 to 4 % of reports."""

Term = tuple[str, ...]
"""One hyperparameter, or two for their interaction."""


def terms_of(levels: pd.DataFrame, *, interactions: bool) -> list[Term]:
    """Return every column of ``levels`` as a term, followed by every pair with ``interactions``."""
    names = [str(name) for name in levels]
    pairs = list(combinations(names, 2)) if interactions else []
    return [*((name,) for name in names), *pairs]


def design(levels: pd.DataFrame, terms: Sequence[Term]) -> list[npt.NDArray[np.float64]]:
    """Code each term in columns that add up to zero over its levels.

    Returns:
        An array (rows of ``levels``, columns) for each term. The columns of an interaction are
        products of its hyperparameters' columns, and can be linearly dependent if cells are empty.
    """
    coded = {name: _coded(levels[name]) for name in {name for term in terms for name in term}}
    return [_product([coded[name] for name in term]) for term in terms]


def can_tell_pairs(levels: pd.DataFrame) -> bool:
    """Return whether the configurations identify every term of the model with all pairs."""
    blocks = design(levels, terms_of(levels, interactions=True))
    columns = np.hstack([np.ones((len(levels), 1)), *blocks])
    return bool(np.linalg.matrix_rank(columns) == columns.shape[1])


def contrasts(levels: pd.DataFrame, terms: Sequence[Term], term: Term) -> npt.NDArray[np.float64]:
    """Return the contrasts of a term, adjusted for all other terms that do not contain it.

    Args:
        levels: The level of each hyperparameter, a row per configuration.
        terms: All terms of the model.
        term: The term, one of ``terms``.

    Returns:
        (q, configurations) orthonormal weights; q is 0 if the other terms determine this term.
    """
    others = [other for other in terms if not set(term) <= set(other)]
    basis = orthonormal(np.hstack([np.ones((len(levels), 1)), *design(levels, others)]))
    (own,) = design(levels, [term])
    return orthonormal(own - basis @ (basis.T @ own)).T


def is_complete(levels: pd.DataFrame) -> bool:
    """Return whether all combinations of levels exist, in equal numbers of configurations."""
    counts = levels.astype(str).value_counts()
    return len(counts) == levels.nunique().prod() and counts.nunique() == 1


def with_verdicts(fitted: pd.DataFrame) -> pd.DataFrame:
    """Add ``p_adjusted`` (`TABLES` times Holm's, for all terms with a ``p_value``) and ``verdict``.

    A verdict is about ``p_adjusted`` below 5 %.
    """
    known = fitted["p_value"].notna()
    adjusted = pd.Series(np.nan, index=fitted.index)
    adjusted[known] = np.minimum(1, TABLES * holm(fitted.loc[known, "p_value"]))
    shown = np.where(fitted["share"] < LEAST_SHARE, SMALL, MATTERS)
    verdicts = np.where(adjusted < ALPHA, shown, NO_EFFECT)
    return fitted.assign(p_adjusted=adjusted, verdict=np.where(known, verdicts, NO_VERDICT))


def term_text(term: Term) -> str:
    """Join the hyperparameters of a term with ×."""
    return " × ".join(term)


def _coded(level: "pd.Series[str]") -> npt.NDArray[np.float64]:
    codes, names = pd.factorize(level.astype(str), sort=True)
    dummies = np.eye(len(names))[codes]
    coded: npt.NDArray[np.float64] = dummies[:, :-1] - dummies[:, -1:]
    return coded


def _product(blocks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    product: npt.NDArray[np.float64] = blocks[0]
    for block in blocks[1:]:
        product = (product[:, :, None] * block[:, None, :]).reshape(len(product), -1)
    return product
