"""Differences between all pairs of candidates, with their errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.statistics.estimate import Estimate
from analysis.statistics.trainings import Trainings

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Differences between all pairs of K candidates."""

    ids: tuple[str, ...]
    differences: Floats
    """(K, K) estimates, row minus column."""
    errors: Floats
    """(K, K) standard errors of the differences."""
    df: Floats
    """(K, K) degrees of freedom of the errors."""


def pairs_of(ids: Sequence[str], pair: Callable[[str, str], Estimate]) -> Pairs:
    """Estimate all differences; skip candidates that cannot be compared with an earlier one.

    Args:
        ids: The candidates.
        pair: Estimates the first minus the second; the error is missing if it is unknown.
    """
    kept: list[str] = []
    found: dict[tuple[str, str], Estimate] = {}
    for name in ids:
        own = {(name, other): pair(name, other) for other in kept}
        if not any(np.isnan(estimate.standard_error) for estimate in own.values()):
            kept.append(name)
            found |= own
    differences, errors, df = (np.zeros((len(kept), len(kept))) for _ in range(3))
    for i, name in enumerate(kept):
        for j, other in enumerate(kept[:i]):
            estimate = found[name, other]
            differences[i, j], differences[j, i] = estimate.value, -estimate.value
            errors[i, j] = errors[j, i] = estimate.standard_error
            df[i, j] = df[j, i] = estimate.df
    return Pairs(ids=tuple(kept), differences=differences, errors=errors, df=df)


def pairs_of_trainings(trainings: Trainings, ids: Sequence[str]) -> Pairs:
    """Return `analysis.statistics.trainings.difference` for all pairs, computed together."""
    rows = [trainings.rows[name] for name in ids]
    means, of_means, df, noise = trainings.facts[:, rows]
    seeds = _sums(of_means)
    seeds_df = np.minimum(_divided(seeds**2, _sums(of_means**2 / df)), trainings.seeds_df)
    by_picture = trainings.by_picture[rows]
    common = by_picture @ by_picture.T
    pictures = np.maximum(0.0, _sums(np.diag(common) - noise) - 2 * common)
    spread = seeds**2 / seeds_df
    if trainings.correct is not None:
        spread = spread + pictures**2 / (by_picture.shape[1] - 1)
    errors = np.sqrt(seeds + pictures)
    np.fill_diagonal(errors, 0.0)
    return Pairs(
        ids=tuple(ids),
        differences=means[:, None] - means,
        errors=errors,
        df=_divided((seeds + pictures) ** 2, spread),
    )


def _sums(values: Floats) -> Floats:
    sums: Floats = values[:, None] + values
    return sums


def _divided(values: Floats, by: Floats) -> Floats:
    """Divide; division by 0 gives infinity."""
    quotient: Floats = np.divide(values, by, out=np.full_like(values, np.inf), where=by > 0)
    return quotient
