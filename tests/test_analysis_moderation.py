"""Variances of few replicates are shrunk towards that of all configurations."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import digamma, polygamma

from analysis.statistics.moderation import moderated


def test_variances_that_vary_by_chance_become_the_pooled_one():
    found = moderated(pd.Series([1.0, 1.2], index=["a", "b"]), pd.Series([1, 9], index=["a", "b"]))
    assert found["variance"].tolist() == pytest.approx([(1 + 9 * 1.2) / 10] * 2)
    assert found["df"].tolist() == [10, 10]
    assert found.index.tolist() == ["a", "b"]


def test_variances_that_differ_are_means_of_their_own_and_the_pooled_one_by_smyth_s_equation():
    variances = pd.Series([1e-4, 3e-4, 5e-3, 0.1, 0.3, 2.0])
    df = pd.Series([4, 4, 6, 6, 8, 8])
    found = moderated(variances, df)
    prior = found["df"] - df
    assert prior.nunique() == 1 or prior.max() - prior.min() < 1e-9
    prior_df = float(prior.iloc[0])
    pooled = (variances * df).sum() / df.sum()
    expected = (prior_df * pooled + df * variances) / (prior_df + df)
    assert found["variance"].tolist() == pytest.approx(expected.tolist())
    logs = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    excess = logs.var(ddof=1) - polygamma(1, df / 2).mean()
    assert polygamma(1, prior_df / 2) == pytest.approx(excess)


def test_an_unknown_variance_becomes_the_pooled_one_and_no_df_exceed_those_of_all():
    found = moderated(pd.Series([np.nan, 1.0, 50.0]), pd.Series([0, 2, 2]))
    assert found["variance"].iloc[0] == pytest.approx(25.5)
    assert (found["df"] <= 4).all()


def test_replicates_without_any_spread_have_no_variance():
    found = moderated(pd.Series([0.0, 0.0, np.nan]), pd.Series([1, 2, 0]))
    assert found.to_numpy().tolist() == [[0.0, 3.0]] * 3


def test_a_single_variance_is_that_of_all_and_one_of_0_is_part_of_the_pooled_one():
    alone = moderated(pd.Series([0.04, np.nan]), pd.Series([3, 0]))
    assert alone.to_numpy().tolist() == [[0.04, 3.0]] * 2
    found = moderated(pd.Series([0.0, 1.0, 1.1]), pd.Series([2, 2, 2]))
    assert found["variance"].tolist() == pytest.approx([0.7] * 3)
