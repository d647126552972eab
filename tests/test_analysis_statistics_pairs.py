"""Two trained models and folds against statsmodels, scipy and a resampling of single pictures."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from analysis.comparisons.against import COLUMNS, compare_trained_models
from analysis.statistics.pairs import compare_models, compare_over_folds, over_folds
from analysis.statistics.verdicts import Verdict


@pytest.fixture(scope="module")
def two():
    rng = np.random.default_rng(0)
    easy = rng.random(2_000)
    return easy < 0.66, (easy + rng.normal(0, 0.1, 2_000)) < 0.62


def test_mcnemar_of_agresti():
    # Agresti (2013), table 11.1, approval of a prime minister: 150 against 86 who changed.
    approve = [True] * (794 + 150) + [False] * (86 + 570)
    later = [True] * 794 + [False] * 150 + [True] * 86 + [False] * 570
    pair = compare_models(np.array(approve), np.array(later))
    assert (pair.only_first, pair.only_second) == (150, 86)
    assert pair.difference == pytest.approx(0.04, abs=1e-12)
    assert pair.estimate.standard_error == pytest.approx(0.0095, abs=5e-5)
    assert pair.estimate.interval() == pytest.approx((0.021, 0.059), abs=5e-4)
    assert pair.p_value == pytest.approx(stats.binomtest(86, 236).pvalue, rel=1e-9)


def test_mcnemar_equals_statsmodels(two):
    first, second = two
    table = pd.crosstab(first, second).to_numpy()
    theirs = mcnemar(table, exact=True).pvalue
    assert compare_models(first, second).p_value == pytest.approx(theirs, rel=1e-12)


def test_models_that_agree_everywhere_do_not_differ(two):
    pair = compare_models(two[0], two[0])
    assert pair.p_value == 1
    assert pair.interval() == (0, 0)


def test_the_paired_bootstrap_equals_one_over_single_pictures(two):
    per_picture = two[0].astype(float) - two[1]
    theirs = stats.bootstrap(
        (per_picture,), np.mean, n_resamples=5_000, method="percentile", rng=0
    ).confidence_interval
    # Ends of an interval from 5,000 draws are uncertain by about 3 % of its width.
    ours = compare_models(*two).interval()
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)


def test_an_interval_for_a_family_is_wider_by_the_ratio_of_the_quantiles(two):
    pair = compare_models(*two)
    one, many = pair.interval(), pair.interval(66)
    ratio = stats.norm.isf(0.05 / 66 / 2) / stats.norm.isf(0.025)
    assert many[1] - many[0] == pytest.approx(ratio * (one[1] - one[0]))


def test_models_are_judged_after_adjusting(two):
    first, second = two
    correct = pd.DataFrame([first, second, first], index=["a", "b", "c"])
    frame = compare_trained_models(correct, "a", 3)
    assert tuple(frame.columns) == COLUMNS
    worse, same = frame.itertuples()
    assert (worse.id, worse.verdict) == ("b", Verdict.WORSE)
    assert worse.difference == pytest.approx(second.mean() - first.mean())
    assert worse.p_adjusted == pytest.approx(3 * worse.p_value)
    assert (same.id, same.verdict) == ("c", Verdict.EQUIVALENT)


def test_folds_use_the_variance_of_nadeau_and_bengio():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.64, 0.01, (2, 10))
    ours = compare_over_folds(first, second, 1 / 9)
    naive = stats.ttest_rel(first, second)
    # Their t is the naive one over √(1 + J·n_test/n_train).
    t = naive.statistic / np.sqrt(1 + 10 / 9)
    assert ours.value / ours.standard_error == pytest.approx(t)
    assert ours.p_value == pytest.approx(2 * stats.t.sf(abs(t), 9))


def test_without_shared_training_pictures_folds_are_a_plain_sample():
    values = np.random.default_rng(0).normal(0.64, 0.01, 10)
    low, high = over_folds(values, 0.0).interval()
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 9, values.mean(), stats.sem(values)))


def test_others_keep_their_order_and_differ_from_the_first_wherever_it_stands(two):
    first, second = two
    correct = pd.DataFrame([second, first, second], index=["z", "first", "a"])
    frame = compare_trained_models(correct, "first", 10)
    assert frame["id"].tolist() == ["z", "a"]
    pair = compare_models(second, first)
    low, high = pair.interval(10)
    row = frame.iloc[1]
    assert (row["difference_low"], row["difference_high"]) == (low, high)
    assert row["difference"] == pytest.approx(second.mean() - first.mean())
    assert low < row["difference"] < high
    assert row["detectable"] == pytest.approx(pair.estimate.detectable(10))
    assert row["p_value"] == pytest.approx(pair.p_value)


def test_a_difference_over_folds_is_the_first_less_the_second():
    ours = compare_over_folds(np.array([0.7, 0.6, 0.65]), np.array([0.5, 0.5, 0.5]), 1 / 2)
    assert ours.value == pytest.approx(0.15)
    assert ours.df == 2
    # By hand: the variance of 0.2, 0.1, 0.15 is 0.0025.
    assert ours.standard_error == pytest.approx(np.sqrt((1 / 3 + 1 / 2) * 0.0025))
