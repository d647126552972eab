"""Intervals for the accuracy of a trained model, and for differences between groups."""

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from analysis.statistics.estimate import ALPHA


def wilson(accuracy: float, n: float) -> tuple[float, float]:
    """Compute the 95 % Wilson interval of one accuracy; see `wilson_interval`."""
    if pd.isna(accuracy) or pd.isna(n):
        return np.nan, np.nan
    low, high = proportion_confint(accuracy * n, n, alpha=ALPHA, method="wilson")
    return float(low), float(high)


def newcombe(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Compute the 95 % interval of the difference of two accuracies on different pictures.

    Newcombe (1998), "Interval Estimation for the Difference Between Independent Proportions",
    Statistics in Medicine 17(8), method 10. It combines the two Wilson intervals, so its width is
    positive even if both accuracies are 1.

    Args:
        first: Number of correct pictures, and of all pictures; both over the design effect if
            pictures are clustered.
        second: The same for the other accuracy.
    """
    low, high = confint_proportions_2indep(
        *first, *second, method="newcomb", compare="diff", alpha=ALPHA
    )
    return float(low), float(high)


def wilson_interval(
    accuracy: "pd.Series[float]", n: "pd.Series[int] | pd.Series[float]"
) -> pd.DataFrame:
    """Compute the 95 % Wilson intervals of accuracies, each of one model on n pictures.

    The score interval of Wilson (1927), as recommended by Brown, Cai and DasGupta (2001), "Interval
    Estimation for a Binomial Proportion", Statistical Science 16(2). If pictures are dependent, n
    must be the effective n, which is n over the design effect (Franco, Little, Louis and Slud 2019,
    "Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys", Journal
    of Survey Statistics and Methodology 7(3)).

    Returns:
        ``accuracy_low`` and ``accuracy_high`` with the index of ``accuracy``; missing if the
        accuracy or n is missing.
    """
    known = accuracy.notna() & n.notna()
    total = n[known].astype(float)
    low, high = proportion_confint(accuracy[known] * total, total, alpha=ALPHA, method="wilson")
    interval = pd.DataFrame(np.nan, index=accuracy.index, columns=["accuracy_low", "accuracy_high"])
    interval.loc[known, "accuracy_low"] = low
    interval.loc[known, "accuracy_high"] = high
    return interval
