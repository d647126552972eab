"""What may be said of a difference: the verdicts, and the adjustment for many comparisons."""

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.statistics.estimate import ALPHA

MARGIN = 0.01
"""Differences within one percentage point count as equivalent."""


class Verdict(StrEnum):
    """What a comparison shows of the first against the second."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent within one point"
    NOT_SHOWN = "no difference shown"


def verdict(difference: float, p_adjusted: float, interval: tuple[float, float]) -> Verdict:
    """Judge ``difference`` (first less second) by its adjusted p-value and its interval."""
    if p_adjusted < ALPHA:
        return Verdict.BETTER if difference > 0 else Verdict.WORSE
    low, high = interval
    within = low >= -MARGIN and high <= MARGIN
    return Verdict.EQUIVALENT if within else Verdict.NOT_SHOWN


def holm(p_values: npt.ArrayLike, family: int | None = None) -> npt.NDArray[np.float64]:
    """Adjust p-values of some tests of a ``family``, the rest of which are not at hand.

    Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal
    of Statistics 6(2). The rank of a p-value among those at hand is at most its rank in the
    family, so its factor is at least Holm's: never too bold.

    Args:
        p_values: (k,) p-values.
        family: Number of tests in the family, at least k; k where None.

    Returns:
        (k,) adjusted p-values in the order of ``p_values``.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    factors = (family or len(p)) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * p[order]))
    return adjusted


def all_pairs(count: int) -> int:
    """Return the number of pairs among ``count`` things.

    It is the family of comparisons with the best of them: which one is the best was seen on the
    same figures, so each pair might have been the one that is looked at.
    """
    return count * (count - 1) // 2
