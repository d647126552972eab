"""Tests claims about a published table of accuracies, without predictions or replicates."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import integrate, stats

from analysis.effects.design import design, terms_of
from analysis.statistics.estimate import Estimate
from analysis.statistics.verdicts import MARGIN, all_pairs, equivalence, holm, verdict

MOST_REPLICATES = 1_000
MOST_PICTURES = 1_000_000_000


class Conclusion(NamedTuple):
    """The claim that models with one level of a hyperparameter are better than with another."""

    hyperparameter: str
    better: object
    worse: object


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The claim that one group of models is better than another."""

    words: str
    better: Mapping[str, object]
    """Column of the table → value that selects the better models."""
    worse: Mapping[str, object]
    family: int
    """Number of comparisons from which this one was selected."""


def claims_of(table: pd.DataFrame, conclusions: Mapping[str, Conclusion]) -> list[Claim]:
    """Build the claims of a published grid: its conclusions, and that the best model is the best.

    Args:
        table: A row per model: ``name``, hyperparameters, ``accuracy``.
        conclusions: Wording → conclusion.
    """
    claims = [
        Claim(
            words=words,
            better={claimed.hyperparameter: claimed.better},
            worse={claimed.hyperparameter: claimed.worse},
            family=len(conclusions),
        )
        for words, claimed in conclusions.items()
    ]
    order = table.sort_values("accuracy", ascending=False, kind="stable")["name"].tolist()
    pairs = {
        "the best model beats the second": order[1],
        "the best model beats the last": order[-1],
    }
    return claims + [
        Claim(
            words=words,
            better={"name": order[0]},
            worse={"name": other},
            family=all_pairs(len(order)),
        )
        for words, other in pairs.items()
    ]


def judge(
    table: pd.DataFrame, hyperparameters: list[str], n: int, claims: list[Claim]
) -> pd.DataFrame:
    """Test claims about single trainings from their accuracies on n pictures.

    The accuracies are treated as independent binomial shares (unpaired). The models were tested on
    the same pictures, so their differences vary less: the result is conservative, as long as models
    within a group are no more alike than models of two groups. The variation between seeds is not
    included, so a verdict holds for these trainings only. The effect of a seed is estimated by the
    variation that the main effects of ``hyperparameters`` do not explain (`residual_spread`).

    Returns:
        A row per claim: ``claim``, ``difference`` with ``difference_low`` and ``difference_high``
        (95 % for all comparisons from which the claim was selected), ``p_adjusted`` (Holm, or
        Bonferroni for one of all pairs), ``verdict``, ``detectable`` (the smallest difference that
        n pictures show with 80 % probability), ``pictures`` (number needed to show the observed
        difference with 80 % probability; missing if the difference is nearly 0) and ``replicates``
        (trainings of each model needed to show it on the same pictures).
    """
    noise = residual_spread(table, hyperparameters)
    weights = [_weights(table, claim) for claim in claims]
    estimates = [unpaired(table["accuracy"], each, n) for each in weights]
    adjusted = _adjusted(claims, [estimate.p_value for estimate in estimates])
    rows = []
    for claim, weight, estimate, p in zip(claims, weights, estimates, adjusted, strict=True):
        low, high = estimate.interval(claim.family)
        within = claim.family * equivalence(estimate, MARGIN)
        rows.append(
            {
                "claim": claim.words,
                "difference": estimate.value,
                "difference_low": low,
                "difference_high": high,
                "p_adjusted": p,
                "verdict": verdict(estimate.value, p, within),
                "detectable": estimate.detectable(claim.family),
                "pictures": pictures_needed(estimate, n, claim.family),
                "replicates": replicates_needed(estimate.value, weight, noise, claim.family),
            }
        )
    return pd.DataFrame(rows).astype({"pictures": "Int64", "replicates": "Int64"})


def unpaired(accuracy: "pd.Series[float]", weights: "pd.Series[float]", n: int) -> Estimate:
    """Estimate a contrast of accuracies, each an independent binomial share of n pictures."""
    variance = float((weights**2 * accuracy * (1 - accuracy)).sum()) / n
    return Estimate(value=float(np.dot(weights, accuracy)), standard_error=sqrt(variance))


def residual_spread(table: pd.DataFrame, hyperparameters: list[str]) -> float:
    """Return the residual standard deviation of single trainings after removing main effects.

    Without replicates this is the only available estimate of the effect of a seed. It includes
    interactions.
    """
    levels = table[hyperparameters]
    blocks = design(levels, terms_of(levels, interactions=False))
    columns = np.hstack([np.ones((len(table), 1)), *blocks])
    y = table["accuracy"].to_numpy()
    effects, _, rank, _ = np.linalg.lstsq(columns, y)
    return sqrt(float(((y - columns @ effects) ** 2).sum()) / (len(y) - int(rank)))


def pictures_needed(estimate: Estimate, n: int, family: int) -> int | None:
    """Return how many pictures show a difference, estimated on n, with 80 % probability.

    None if `MOST_PICTURES` are not enough.
    """
    needed = n * (estimate.detectable(family) / estimate.value) ** 2 if estimate.value else inf
    return ceil(needed) if needed <= MOST_PICTURES else None


def replicates_needed(
    difference: float, weights: "pd.Series[float]", spread: float, family: int
) -> int | None:
    """Return how many trainings of each model show ``difference`` with 80 % probability.

    None if `MOST_REPLICATES` are not enough.
    """

    def is_shown(replicates: int) -> bool:
        error = spread * sqrt(np.dot(weights, weights) / replicates)
        df = len(weights) * (replicates - 1)
        shown = Estimate(value=difference, standard_error=error, df=df).detectable(family)
        return shown <= abs(difference)

    counts = range(2, MOST_REPLICATES + 1)
    place = bisect_left(counts, True, key=is_shown)
    return counts[place] if place < len(counts) else None


def optimism_of_picking(accuracy: float, n: int, models: int) -> float:
    """Return the expected excess of the best of equally good models over their true accuracy.

    It is the expected maximum of independent normal variables (David and Nagaraja 2003, Order
    Statistics, section 3.2) times the binomial standard error on n pictures. It is an upper bound
    for models that are tested on the same pictures.
    """

    def weighted(z: float) -> float:
        return float(z * models * stats.norm.pdf(z) * stats.norm.cdf(z) ** (models - 1))

    return float(integrate.quad(weighted, -10, 10)[0]) * sqrt(accuracy * (1 - accuracy) / n)


def _weights(table: pd.DataFrame, claim: Claim) -> "pd.Series[float]":
    def mean_of(values: Mapping[str, object]) -> "pd.Series[float]":
        chosen = (table[list(values)] == pd.Series(values)).all(axis=1)
        return chosen / chosen.sum()

    return mean_of(claim.better) - mean_of(claim.worse)


def _adjusted(claims: list[Claim], p_values: list[float]) -> list[float]:
    """Adjust each p-value for the size of its family."""
    families = pd.Series([claim.family for claim in claims])
    p = pd.Series(p_values)
    adjusted = p.groupby(families).transform(lambda each: holm(each, int(families[each.index[0]])))
    return adjusted.tolist()
