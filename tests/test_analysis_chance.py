"""The error of means of configurations: its parts, its degrees of freedom, and tests against it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.effects.chance import (
    LEAST_DF,
    Chance,
    by_fold,
    chance_of_configurations,
    chance_of_folds,
    chance_of_seeds,
    orthonormal,
)
from tests.support.trainings import trainings_of

RNG = np.random.default_rng(5)


def chance(own, shared, *, own_df=10.0, twice=0.0):
    own = np.asarray(own, float)
    return Chance(
        own=own,
        own_df=own_df,
        shared=np.asarray(shared, float),
        counted_twice=np.full(len(own), twice),
    )


def test_deviations_by_fold_have_the_variance_of_nadeau_and_bengio():
    cells, ratio = pd.DataFrame(RNG.random((3, 5))), 0.25
    expected = (1 / 5 + ratio) * cells.var(axis=1, ddof=1)
    assert (by_fold(cells, ratio) ** 2).sum(axis=1) == pytest.approx(expected.to_numpy())


def test_a_basis_is_orthonormal_and_leaves_out_columns_that_follow_from_others():
    columns = RNG.random((6, 2))
    basis = orthonormal(np.hstack([columns, columns.sum(axis=1, keepdims=True)]))
    assert basis.shape == (6, 2)
    assert basis.T @ basis == pytest.approx(np.eye(2))
    assert basis @ (basis.T @ columns) == pytest.approx(columns)


def test_the_variance_of_a_contrast_adds_both_parts_and_counts_nothing_twice():
    shared = RNG.random((3, 8)) - 0.5
    weights, means = np.array([1.0, -1.0, 0.0]), np.array([0.7, 0.5, 0.1])
    found = chance([0.01, 0.02, 0.5], shared, twice=0.001).contrast(weights, means)
    of_shared = ((weights @ shared) ** 2).sum() - 2 * 0.001
    assert found.value == pytest.approx(0.2)
    assert found.standard_error**2 == pytest.approx(0.03 + of_shared)
    df = (0.03 + of_shared) ** 2 / (0.03**2 / 10 + of_shared**2 / 7)
    assert found.df == pytest.approx(df)
    alone = chance([0.01, 0.02, 0.5], np.zeros((3, 8))).contrast(weights, means)
    assert (alone.standard_error**2, alone.df) == (pytest.approx(0.03), pytest.approx(10))
    assert np.isinf(chance([1.0], np.zeros((1, 8))).shared_df)
    assert chance([1.0], [[0.0, 0.1, -0.1]]).shared_df == 2, "a deviation of 0 is one too"


def test_a_single_contrast_is_tested_as_by_t():
    weights, means = np.array([[1.0, -1.0]]) / np.sqrt(2), np.array([0.7, 0.5])
    tested = chance([0.01, 0.01], np.zeros((2, 4))).test(weights, means)
    t = 0.2 / np.sqrt(0.02)
    assert tested.f == pytest.approx(t**2)
    assert tested.p_value == pytest.approx(2 * stats.t.sf(t, 10))
    assert tested.error.standard_error == pytest.approx(0.1)
    assert tested.error.df == pytest.approx(10)


def test_a_shared_variance_below_what_was_counted_twice_counts_as_none():
    """All pictures deviate along the first contrast; along the second, the estimate is negative."""
    contrasts = orthonormal(np.eye(3) - 1 / 3).T
    means, own = np.array([0.7, 0.5, 0.6]), [0.01] * 3
    along, against = np.array([0.1, -0.1, 0.0, 0.0]), 0.004
    shared = contrasts[0][:, None] * along
    tested = chance(own, shared, twice=against).test(contrasts, means)
    covariance = np.diag([0.01 + along @ along - against, 0.01])
    value = contrasts @ means
    scale = 1 - (1 - np.mean(0.01 / np.diag(covariance))) / 3
    assert tested.f == pytest.approx(value @ np.linalg.solve(covariance, value) / 2 * scale)
    assert tested.error.standard_error == pytest.approx(np.sqrt(np.trace(covariance) / 2))


def test_contrasts_on_folds_alone_are_tested_as_by_hotelling():
    values = RNG.random((3, 9))
    deviations = (values - values.mean(axis=1, keepdims=True)) / np.sqrt(9 * 8)
    contrasts = orthonormal(np.eye(3) - 1 / 3).T
    tested = chance_of_folds(deviations).test(contrasts, values.mean(axis=1))
    apart = contrasts @ values
    square = 9 * apart.mean(axis=1) @ np.linalg.solve(np.cov(apart), apart.mean(axis=1))
    assert tested.f == pytest.approx(square * (9 - 2) / (2 * (9 - 1)))
    assert tested.p_value == pytest.approx(stats.f.sf(tested.f, 2, 7))
    few = chance_of_folds(deviations[:, :2]).test(contrasts, values.mean(axis=1))
    assert np.isnan(few.p_value)
    three = chance_of_folds(deviations[:, :3]).test(contrasts, values.mean(axis=1))
    assert three.p_value == pytest.approx(stats.f.sf(three.f, 2, 1)), "one degree of freedom"


def test_the_variance_of_seeds_is_pooled_by_degrees_of_freedom_and_shared_out_by_replicates():
    groups = {"c": [0.5, 0.6, 0.7, 0.8], "a": [0.6, 0.62], "b": [0.3]}  # not in their order
    found = chance_of_seeds(trainings_of(groups))
    pooled = (3 * np.var(groups["c"], ddof=1) + np.var(groups["a"], ddof=1)) / 4
    assert found.own == pytest.approx(pooled / np.array([4, 2, 1]))
    assert found.own_df == 4
    assert not found.shared.any()
    assert found.counted_twice.tolist() == [0, 0, 0]
    assert chance_of_seeds(trainings_of({"a": [0.5], "b": [0.6]})) is None


def test_sampled_configurations_have_their_residual_variance():
    means, nothing = RNG.random(8), np.zeros((8, 3))
    found = chance_of_configurations(means, nothing, [])
    assert found.own == pytest.approx(np.full(8, means.var(ddof=1)))
    assert found.own_df == 7
    line = np.arange(8.0)[:, None]
    fitted = chance_of_configurations(means, nothing, [line])
    residual = stats.linregress(line[:, 0], means)
    left = means - residual.intercept - residual.slope * line[:, 0]
    assert fitted.own == pytest.approx(np.full(8, (left @ left) / 6))
    assert fitted.own_df == 6
    assert chance_of_configurations(means[: LEAST_DF + 1], nothing[: LEAST_DF + 1], []) is not None
    assert chance_of_configurations(means[:LEAST_DF], nothing[:LEAST_DF], []) is None
    assert chance_of_configurations(2.5 * line[:, 0], nothing, [line]).own == pytest.approx(
        np.zeros(8), abs=1e-20
    )
