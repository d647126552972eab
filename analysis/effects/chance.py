"""Error models for the means of configurations, and tests of model terms against them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.clusters import Floats
from analysis.statistics.estimate import Estimate, combined
from analysis.statistics.trainings import Trainings

LEAST_DF = 3
"""Least degrees of freedom of an error that is estimated from the spread of configurations."""

NO_ERROR = Estimate(value=0.0, standard_error=np.nan)


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The test of a term."""

    f: float = np.nan
    p_value: float = np.nan
    error: Estimate = NO_ERROR
    """Standard error of one configuration's mean, in the directions that this term tests."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chance:
    """The error of the means of K configurations, in two parts.

    The first part is independent for each mean: the variance between seeds, or between sampled
    configurations. The second part is shared, because all means are measured on the same m pictures
    or folds, and some of these favour some levels.
    """

    own: Floats
    """(K,) variance of the independent errors."""
    own_df: float
    shared: Floats
    """(K, m) deviations by picture, cluster of pictures or fold; ``shared @ shared.T`` is the
    covariance of the means."""
    counted_twice: Floats
    """(K,) part of the variance in ``shared`` that ``own`` already contains."""

    @property
    def shared_df(self) -> float:
        """Degrees of freedom of the shared covariance; infinite if there is none."""
        return self.shared.shape[1] - 1.0 if self.shared.any() else np.inf

    def contrast(self, weights: Floats, means: Floats) -> Estimate:
        """Estimate a weighted sum of the means."""
        shared = float(((weights @ self.shared) ** 2).sum() - weights**2 @ self.counted_twice)
        parts = [(float(weights**2 @ self.own), self.own_df), (max(0.0, shared), self.shared_df)]
        return combined(float(weights @ means), parts)

    def test(self, contrasts: Floats, means: Floats) -> Tested:
        """Test the hypothesis that several contrasts of the means are all 0.

        The error of a term includes its interaction with pictures (Clark 1973, "The
        Language-as-Fixed-Effect Fallacy", Journal of Verbal Learning and Verbal Behavior 12(4)).
        The test is Hotelling's T² with the sum of the two covariances. Its degrees of freedom
        follow Satterthwaite, each part weighted by its share of the covariance.

        Args:
            contrasts: (q, K) orthonormal weights.
            means: (K,) means of the configurations.
        """
        q = len(contrasts)
        shared_df = self.shared_df - q + 1
        own = (contrasts * self.own) @ contrasts.T
        deviations = contrasts @ self.shared
        twice = (contrasts * self.counted_twice) @ contrasts.T
        covariance = own + _positive(deviations @ deviations.T - twice)
        if q == 0 or shared_df < 1 or np.linalg.matrix_rank(covariance, hermitian=True) < q:
            return Tested()
        value = contrasts @ means
        weight = float(np.trace(np.linalg.solve(covariance, own))) / q
        df = 1 / (weight**2 / self.own_df + (1 - weight) ** 2 / shared_df)
        f = float(value @ np.linalg.solve(covariance, value)) / q
        f *= 1 - (1 - weight) * (q - 1) / self.shared_df
        error = float(np.sqrt(np.trace(covariance) / q))
        return Tested(
            f=f,
            p_value=float(stats.f.sf(f, q, df)),
            error=Estimate(value=0.0, standard_error=error, df=df),
        )


def chance_of_seeds(trainings: Trainings) -> Chance | None:
    """Return the error for fixed configurations, from replicates and pictures.

    The variance between replicates is pooled over configurations. Returns None without replicates.
    """
    if not trainings.replicated:
        return None
    replicates = trainings.replicates.to_numpy(float)
    own = trainings.accuracy.groupby(trainings.configuration, sort=False).var().fillna(0.0)
    pooled = float(own.to_numpy() @ (replicates - 1)) / trainings.seeds_df
    # Few replicates can agree by luck; the error is at least the noise of single answers.
    noise = np.asarray(trainings.noise, np.float64)
    return Chance(
        own=np.maximum(pooled / replicates, noise),
        own_df=trainings.seeds_df,
        shared=trainings.by_picture,
        counted_twice=noise,
    )


def chance_of_configurations(
    means: Floats, shared: Floats, columns: Sequence[Floats]
) -> Chance | None:
    """Return the error for sampled configurations: their residual variance in a linear model.

    Returns None if the model leaves fewer than `LEAST_DF` degrees of freedom.

    Args:
        means: (K,) means of the configurations.
        shared: (K, m) deviations by picture or fold, as in `Chance`.
        columns: Blocks (K, c) of the columns of the model, without the constant.
    """
    basis = orthonormal(np.hstack([np.ones((len(means), 1)), *columns]))
    df = len(means) - basis.shape[1]
    if df < LEAST_DF:
        return None
    everywhere = np.ones(len(means))
    left = means - basis @ (basis.T @ means)
    # What the orthonormal model leaves of the squares, without a second table of this size.
    explained = basis.T @ shared
    by_picture_left = float(np.linalg.norm(shared) ** 2 - np.linalg.norm(explained) ** 2)
    return Chance(
        own=everywhere * (left @ left) / df,
        own_df=df,
        shared=shared,
        counted_twice=everywhere * max(0.0, by_picture_left) / df,
    )


def chance_of_folds(shared: Floats) -> Chance:
    """Return the error for fixed configurations that were trained on the same folds."""
    nothing = np.zeros(len(shared))
    return Chance(own=nothing, own_df=np.inf, shared=shared, counted_twice=nothing)


def by_fold(cells: pd.DataFrame, held_out_ratio: float) -> Floats:
    """Return the (K, J) deviations of the configurations by fold, as in `Chance`.

    The variance is corrected for the training pictures that folds share, by equation 9 of Nadeau
    and Bengio (2003), "Inference for the Generalization Error", Machine Learning 52.

    Args:
        cells: Accuracies, configurations × J folds.
        held_out_ratio: Number of validation pictures of a fold over that of training pictures.
    """
    values = cells.to_numpy(float)
    count = values.shape[1]
    scale = np.sqrt((1 / count + held_out_ratio) / (count - 1))
    deviations: Floats = (values - values.mean(axis=1, keepdims=True)) * scale
    return deviations


def orthonormal(columns: Floats) -> Floats:
    """Return an orthonormal basis of the column space, as columns."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    basis: Floats = left[:, sizes > 1e-9 * max(1.0, float(sizes.max(initial=0.0)))]
    return basis


def _positive(matrix: Floats) -> Floats:
    """Return the nearest positive semi-definite matrix."""
    sizes, directions = np.linalg.eigh(matrix)
    nearest: Floats = (directions * np.maximum(sizes, 0.0)) @ directions.T
    return nearest
