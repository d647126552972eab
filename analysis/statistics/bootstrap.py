"""The bootstrap over both pictures and replicates."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.statistics.estimate import ALPHA, Estimate
from analysis.statistics.trainings import Trainings, contrast

DRAWS = 2_000
_BLOCK = 200
"""Number of draws whose picture counts are in memory at a time."""


def mean_intervals(
    trainings: Trainings, seed: int = 0, draws: int = DRAWS, *, shares: bool = True
) -> pd.DataFrame:
    """Compute the mean accuracy of every configuration with its 95 % interval.

    Clusters of pictures and the trainings of each configuration are resampled independently (Owen
    2007, "The Pigeonhole Bootstrap", Annals of Applied Statistics 1(2)). With few replicates a
    percentile interval is too narrow, so it is stretched around the mean, by the ratio of the width
    of the t interval (`analysis.statistics.trainings.contrast`) to that of a normal interval with
    the bootstrap's standard deviation (Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69(4), section 4.2 on expanded percentiles).

    Args:
        trainings: The trainings.
        seed: Seed of the draws.
        draws: Number of draws.
        shares: Whether values, and so the intervals, lie between 0 and 1.

    Returns:
        A row per configuration id: ``accuracy``, ``accuracy_low``, ``accuracy_high``,
        ``standard_error``. Without predictions, the interval is the t interval, which applies to
        these pictures only.
    """
    drawn = None if trainings.correct is None else _draws(trainings, seed, draws)
    rows = {}
    for name in trainings.means.index:
        estimate = contrast(trainings, pd.Series({name: 1.0}))
        low, high = estimate.interval()
        if drawn is not None and drawn[name].std() > 0:
            low, high = _expanded(drawn[name].to_numpy(), estimate)
        if shares:
            low, high = max(0.0, low), min(1.0, high)
        rows[name] = (estimate.value, low, high, estimate.standard_error)
    columns = ["accuracy", "accuracy_low", "accuracy_high", "standard_error"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def stretched(draws: npt.NDArray[np.float64], value: float, factor: float) -> tuple[float, float]:
    """Return the 95 % percentile interval of ``draws``, stretched around ``value``."""
    low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2])
    return float(value + factor * (low - value)), float(value + factor * (high - value))


def picture_counts(
    pictures: int, draws: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield blocks (b, pictures) of how often each picture is drawn, ``draws`` rows in total.

    For clustered pictures, ``pictures`` is the number of clusters.
    """
    for start in range(0, draws, _BLOCK):
        rows = min(_BLOCK, draws - start)
        chosen = rng.integers(0, pictures, (rows, pictures))
        chosen += np.arange(rows)[:, None] * pictures
        counts = np.bincount(chosen.ravel(), minlength=rows * pictures)
        yield counts.reshape(rows, pictures)


def _expanded(draws: npt.NDArray[np.float64], estimate: Estimate) -> tuple[float, float]:
    low, high = estimate.interval()
    reach = (high - low) / 2
    return stretched(draws, estimate.value, reach / (stats.norm.isf(ALPHA / 2) * draws.std()))


def _draws(trainings: Trainings, seed: int, draws: int) -> pd.DataFrame:
    """Return bootstrapped means: a row per draw, a column per configuration."""
    assert trainings.counts is not None
    rng = np.random.default_rng(seed)
    counts, sizes = trainings.counts.to_numpy(np.float32), trainings.pictures.sizes
    both = np.column_stack([counts.T, sizes]).astype(np.float32)
    blocks = picture_counts(len(sizes), draws, rng)
    drawn = np.concatenate([block.astype(np.float32) @ both for block in blocks])
    right, pictures = drawn[:, :-1], drawn[:, -1]
    places = trainings.counts.groupby(trainings.configuration, sort=False).indices
    means = {}
    for name in trainings.means.index:
        rows = places[name]
        weights = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), draws)
        means[name] = (right[:, rows] * weights).sum(axis=1) / len(rows) / pictures
    return pd.DataFrame(means)
