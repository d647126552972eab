"""Verdicts about differences, and the adjustment for many comparisons."""

from enum import StrEnum
from math import inf, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.statistics.estimate import ALPHA, Estimate

MARGIN = 0.01
"""By default, configurations that differ by less than one percentage point are equivalent."""


class Verdict(StrEnum):
    """Verdict about the first of two, relative to the second."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    NOT_SHOWN = "no difference shown"


def verdict(difference: float, p_adjusted: float, p_equivalent: float) -> Verdict:
    """Return the verdict on first minus second from the adjusted p-values of its two tests."""
    if p_adjusted < ALPHA:
        return Verdict.BETTER if difference > 0 else Verdict.WORSE
    return Verdict.EQUIVALENT if p_equivalent < ALPHA else Verdict.NOT_SHOWN


def equivalence(estimate: Estimate, margin: float, pictures: float = inf) -> float:
    """Test the hypothesis that the true difference is at least ``margin``, in either direction.

    Two one-sided t tests: Schuirmann (1987), "A Comparison of the Two One-Sided Tests Procedure and
    the Power Approach for Assessing the Equivalence of Average Bioavailability", Journal of
    Pharmacokinetics and Biopharmaceutics 15(6). The p-value is below 5 % exactly if the 90 %
    interval lies within the margin. Models whose accuracies differ by ``margin`` disagree on at
    least that share of n pictures, so the error is at least √(margin·(1 - margin)/n). This way,
    agreement on few pictures does not count as equivalence.

    Args:
        estimate: The difference.
        margin: Smaller differences count as equivalent.
        pictures: n; infinite if it is not known.

    Returns:
        The larger p-value of the two tests.
    """
    error = max(estimate.standard_error, sqrt(margin * (1 - margin) / pictures))
    if error == 0:
        return float(abs(estimate.value) >= margin)
    return float(stats.t.sf((margin - abs(estimate.value)) / error, estimate.df))


def holm(p_values: npt.ArrayLike, family: int | None = None) -> npt.NDArray[np.float64]:
    """Adjust the p-values of some or all tests of a ``family``.

    Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal
    of Statistics 6(2). The rank of a p-value among the given ones is at most its rank in the
    family, so its factor is at least Holm's, and the result is conservative.

    Args:
        p_values: (k,) p-values.
        family: Number of tests in the family, at least k; None for k.

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

    This is the family size for comparisons with the best: because the best is selected by the same
    values, any of the pairs could have been compared.
    """
    return count * (count - 1) // 2
