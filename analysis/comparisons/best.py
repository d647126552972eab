"""Multiple comparisons with the best: which candidates can be the best, and how far off each is.

Hsu (1984), "Constrained Simultaneous Confidence Intervals for Multiple Comparisons with the Best",
The Annals of Statistics 12(3), with the quantiles of unbalanced designs in Hsu (1996), "Multiple
Comparisons: Theory and Methods", section 4.2.
"""

from enum import StrEnum
from math import sqrt

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.comparisons.pairwise import Floats, Pairs
from analysis.statistics.estimate import CONFIDENCE

DRAWS = 10_000
"""Draws from the joint distribution of all differences; they determine the 5 % up to ±0.2 %."""
COLUMNS = ("id", "difference", "difference_low", "difference_high", "verdict")


class Standing(StrEnum):
    """Verdict about a candidate, relative to the best of all."""

    BEST = "the best"
    AS_GOOD = "as good as the best"
    MAY_BE = "cannot be told from the best"
    NOT_BEST = "not the best"


def with_the_best(
    pairs: Pairs, margin: float, *, unseen: int = 0, pictures: float = np.inf
) -> pd.DataFrame:
    """Compare each candidate with the best of the others.

    The confidence of 95 % is simultaneous for all rows. If a candidate is `Standing.NOT_BEST`, at
    least one of the others is as good or better.

    Args:
        pairs: The candidates, at least two.
        margin: A candidate counts as equally good if it is at most this far below the best.
        unseen: Number of further candidates, all with lower measured accuracies than these.
        pictures: Number of pictures that the differences were measured on.

    Returns:
        A row per candidate: ``id``; ``difference`` from the best of the others, with its
        constrained interval, which always includes 0; ``verdict``.
    """
    quantiles = _quantiles(pairs, unseen)
    apart = ~np.eye(len(pairs.ids), dtype=bool)
    reach = quantiles * pairs.errors
    can_be = (pairs.differences + reach > 0) | (pairs.differences >= 0)
    may_be = (can_be | ~apart).all(axis=1)
    rivals = apart & may_be
    # Models whose accuracies differ by the margin disagree on at least that share of pictures.
    least = quantiles * sqrt(margin * (1 - margin) / pictures)
    low = _least(pairs.differences - reach.T, rivals)
    within = _least(pairs.differences - np.maximum(reach, least).T, rivals) >= -margin
    alone = may_be & (may_be.sum() == 1)
    kinds = [alone, within, may_be]
    return pd.DataFrame(
        {
            "id": pairs.ids,
            "difference": _least(pairs.differences, apart),
            "difference_low": np.minimum(0.0, low),
            "difference_high": np.maximum(0.0, _least(pairs.differences + reach, apart)),
            "verdict": np.select(
                kinds, [Standing.BEST, Standing.AS_GOOD, Standing.MAY_BE], Standing.NOT_BEST
            ),
        },
        columns=list(COLUMNS),
    )


def _least(values: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    """Return the least chosen value of each row; infinite if none is chosen."""
    least: Floats = np.where(chosen, values, np.inf).min(axis=1)
    return least


def _quantiles(pairs: Pairs, unseen: int) -> Floats:
    """Return the half-widths of one-sided intervals in standard errors, (K, K).

    The intervals of each row are simultaneous at 95 %. Row i has Dunnett's quantile with candidate
    i as the control, from draws of the joint t distribution. If degrees of freedom differ, each
    difference gets its quantile at the same level. Unseen candidates count as independent, which is
    conservative (Slepian 1962).
    """
    rng = np.random.default_rng(0)
    count = len(pairs.ids)
    errors = rng.standard_normal((DRAWS, count)) @ _root(pairs.errors**2).T
    unit = np.where(pairs.errors > 0, pairs.errors, 1.0)
    further = np.full(DRAWS, -np.inf)
    if unseen:
        further = stats.norm.ppf(rng.random(DRAWS) ** (1 / unseen))
    quantiles = np.zeros((count, count))
    for i in range(count):
        df = pairs.df[i].max()
        scale = 1.0 if np.isinf(df) else np.sqrt(rng.chisquare(df, DRAWS) / df)
        missed = np.delete((errors[:, [i]] - errors) / unit[i], i, axis=1).max(axis=1)
        joint = np.quantile(np.maximum(missed, further) / scale, CONFIDENCE)
        level = min(1 - CONFIDENCE, stats.t.sf(joint, df))  # larger where errors are 0
        others = np.arange(count) != i
        quantiles[i, others] = stats.t.isf(level, pairs.df[i, others])
    return quantiles


def _root(variances: Floats) -> Floats:
    """Return a root (K, K) of a covariance whose differences have these variances.

    Gower (1966), "Some Distance Properties of Latent Root and Vector Methods", Biometrika 53.
    """
    centred = variances - variances.mean(axis=0) - variances.mean(axis=1)[:, None]
    sizes, directions = np.linalg.eigh(-(centred + variances.mean()) / 2)
    root: Floats = directions * np.sqrt(np.maximum(sizes, 0.0))
    return root
