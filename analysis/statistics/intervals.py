"""Intervals of one trained model's accuracy on n pictures, and of its difference between groups."""

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
    """Compute the 95 % interval of one accuracy less another, each on pictures of its own.

    Newcombe (1998), "Interval Estimation for the Difference Between Independent Proportions",
    Statistics in Medicine 17(8), method 10: of the two Wilson intervals, so it has a width where
    every picture was told right too.

    Args:
        first: Pictures told right, and all pictures; both over the design effect where pictures
            belong together.
        second: The same of the other.
    """
    low, high = confint_proportions_2indep(
        *first, *second, method="newcomb", compare="diff", alpha=ALPHA
    )
    return float(low), float(high)


def wilson_interval(
    accuracy: "pd.Series[float]", n: "pd.Series[int] | pd.Series[float]"
) -> pd.DataFrame:
    """Compute the 95 % interval of accuracies of one model each on n pictures.

    Wilson (1927), the score interval, as recommended by Brown, Cai and DasGupta (2001),
    "Interval Estimation for a Binomial Proportion", Statistical Science 16(2). Where pictures are
    no independent draws, n is the effective one, n over the design effect (Franco, Little, Louis
    and Slud 2019, "Comparative Study of Confidence Intervals for Proportions in Complex Sample
    Surveys", Journal of Survey Statistics and Methodology 7(3)).

    Returns:
        ``accuracy_low`` and ``accuracy_high`` with the index of ``accuracy``; missing where an
        accuracy or n is.
    """
    known = accuracy.notna() & n.notna()
    total = n[known].astype(float)
    low, high = proportion_confint(accuracy[known] * total, total, alpha=ALPHA, method="wilson")
    interval = pd.DataFrame(np.nan, index=accuracy.index, columns=["accuracy_low", "accuracy_high"])
    interval.loc[known, "accuracy_low"] = low
    interval.loc[known, "accuracy_high"] = high
    return interval
