"""What may be said of a difference: the verdicts, and the adjustment for many comparisons."""

from enum import StrEnum
from math import inf, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.statistics.estimate import ALPHA, Estimate

MARGIN = 0.01
"""Configurations that differ by less than one percentage point count as equivalent, if the user
does not say otherwise."""


class Verdict(StrEnum):
    """What a comparison shows of the first against the second."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    NOT_SHOWN = "no difference shown"


def verdict(difference: float, p_adjusted: float, p_equivalent: float) -> Verdict:
    """Judge ``difference`` (first less second) by the adjusted p-values of its two tests."""
    if p_adjusted < ALPHA:
        return Verdict.BETTER if difference > 0 else Verdict.WORSE
    return Verdict.EQUIVALENT if p_equivalent < ALPHA else Verdict.NOT_SHOWN


def equivalence(estimate: Estimate, margin: float, pictures: float = inf) -> float:
    """Test that the true difference is at least ``margin``, in either direction.

    Two one-sided t tests: Schuirmann (1987), "A Comparison of the Two One-Sided Tests Procedure and
    the Power Approach for Assessing the Equivalence of Average Bioavailability", Journal of
    Pharmacokinetics and Biopharmaceutics 15(6). Below 5 % just where the 90 % interval lies within
    the margin. Models that differ by ``margin`` give other answers to that share of n pictures at
    least, so the error is taken to be no smaller than √(margin·(1 - margin)/n): few pictures on
    which two models agree show nothing.

    Args:
        estimate: The difference.
        margin: Differences below it do not count.
        pictures: n; infinite where only the estimate is known.

    Returns:
        The larger p-value of the two tests.
    """
    error = max(estimate.standard_error, sqrt(margin * (1 - margin) / pictures))
    if error == 0:
        return float(abs(estimate.value) >= margin)
    return float(stats.t.sf((margin - abs(estimate.value)) / error, estimate.df))


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
