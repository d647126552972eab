"""Estimates, verdicts and variances against scipy, statsmodels and published formulas."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import ttost_ind

from analysis.comparisons.against import compare_configurations
from analysis.statistics.estimate import Estimate, combined
from analysis.statistics.moderation import moderated
from analysis.statistics.trainings import contrast, difference
from analysis.statistics.verdicts import Verdict, all_pairs, equivalence, holm, verdict
from tests.support.trainings import trainings_of


def test_two_parts_make_the_test_of_welch():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.62, 0.01, 5), rng.normal(0.6, 0.03, 4)
    parts = [(each.var(ddof=1) / len(each), len(each) - 1) for each in (a, b)]
    ours = combined(a.mean() - b.mean(), parts)
    theirs = stats.ttest_ind(a, b, equal_var=False)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-12)
    assert ours.df == pytest.approx(theirs.df, rel=1e-12)
    assert ours.interval() == pytest.approx(tuple(theirs.confidence_interval()), rel=1e-12)


def test_a_figure_without_error_differs_from_0_or_does_not():
    assert Estimate(value=0.1, standard_error=0.0).p_value == 0
    assert Estimate(value=0.0, standard_error=0.0).p_value == 1


def test_intervals_of_a_family_are_those_of_bonferroni():
    low, high = Estimate(value=0.0, standard_error=1.0, df=48).interval(66)
    assert high == -low == pytest.approx(stats.t.ppf(1 - 0.05 / 66 / 2, 48))


@pytest.mark.parametrize("count", [5, 20, 100])
def test_the_detectable_difference_is_found_with_80_percent(count):
    spread = 0.01
    estimate = Estimate(value=0.0, standard_error=spread * np.sqrt(2 / count), df=2 * count - 2)
    effect = estimate.detectable() / spread
    power = TTestIndPower().power(effect, count, alpha=0.05)
    # Bloom's multiplier shifts a central t; the exact power of the noncentral one is near.
    assert power == pytest.approx(0.8, abs=0.01)


def test_the_detectable_difference_allows_for_the_family():
    estimate = Estimate(value=0.0, standard_error=0.1, df=99)
    power = TTestPower().power(estimate.detectable(10), 100, alpha=0.005)
    assert power == pytest.approx(0.8, abs=0.01)


def test_holm_equals_statsmodels():
    p = np.random.default_rng(0).random(12) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)


def test_holm_of_a_part_is_never_bolder_than_of_the_whole_family():
    p = np.random.default_rng(1).random(66) ** 4
    whole = multipletests(p, method="holm")[1]
    assert (holm(p[:11], 66) >= whole[:11] - 1e-12).all()


@pytest.mark.parametrize(
    ("difference_", "p", "p_equivalent", "told"),
    [
        (0.03, 0.01, 0.9, Verdict.BETTER),
        (-0.03, 0.01, 0.9, Verdict.WORSE),
        (0.002, 0.4, 0.01, Verdict.EQUIVALENT),
        (0.002, 0.4, 0.2, Verdict.NOT_SHOWN),
        (0.004, 0.001, 0.001, Verdict.BETTER),
        (0.001, 0.0501, 0.0499, Verdict.EQUIVALENT),
        (0.001, 0.0499, 0.0501, Verdict.BETTER),
        (0.001, 0.0501, 0.0501, Verdict.NOT_SHOWN),
    ],
)
def test_a_verdict_says_what_both_tests_show(difference_, p, p_equivalent, told):
    assert verdict(difference_, p, p_equivalent) == told


def test_equivalence_equals_the_two_one_sided_tests_of_statsmodels():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.62, 0.01, 8), rng.normal(0.625, 0.01, 8)
    groups = {"a": first.tolist(), "b": second.tolist()}
    ours = difference(trainings_of(groups), "a", "b")
    theirs, *_ = ttost_ind(first, second, -0.02, 0.02)
    # Their variance is pooled over both groups; ours is where both are alike.
    pooled = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 8)
    assert ours.standard_error == pytest.approx(pooled, rel=0.05)
    exact = Estimate(value=ours.value, standard_error=float(pooled), df=14)
    assert equivalence(exact, 0.02) == pytest.approx(theirs)


@pytest.mark.parametrize("value", [0.004, -0.004])
def test_equivalence_is_shown_just_where_the_90_percent_interval_is_within_the_margin(value):
    for error in (0.0035, 0.0036):
        estimate = Estimate(value=value, standard_error=error, df=30)
        reach = stats.t.isf(0.05, 30) * error
        assert (equivalence(estimate, 0.01) < 0.05) == (0.004 + reach < 0.01)
    assert equivalence(Estimate(value=value, standard_error=0.0033, df=30), 0.003) > 0.5


def test_few_pictures_on_which_models_agree_show_no_equivalence():
    # Of models that differ by a point, 5 % agree on 298 pictures: 0.99^298.
    agree = Estimate(value=0.0, standard_error=0.0)
    assert equivalence(agree, 0.01, 1) > 0.4
    assert equivalence(agree, 0.01, 260) > 0.05
    assert equivalence(agree, 0.01, 300) < 0.05
    assert equivalence(agree, 0.01) == 0
    for value in (0.02, -0.02, 0.01):
        assert equivalence(Estimate(value=value, standard_error=0.0), 0.01) == 1


def test_variances_that_chance_explains_become_the_pooled_one():
    variances = pd.Series([1.0, 1.1, 0.9, 1.05])
    found = moderated(variances, pd.Series([4, 4, 4, 2]))
    pooled = (4 * (1.0 + 1.1 + 0.9) + 2 * 1.05) / 14
    assert found["variance"].tolist() == pytest.approx([pooled] * 4)
    assert found["df"].tolist() == [14] * 4


def test_the_degrees_of_freedom_of_smyths_prior_are_found_again():
    # Smyth (2004), section 3: 1/σ² is chi-square with d0 degrees of freedom over d0·s0².
    rng = np.random.default_rng(0)
    prior_df, prior, df, count = 8, 2.0, 4, 50_000
    true = prior_df * prior / rng.chisquare(prior_df, count)
    variances = pd.Series(true * rng.chisquare(df, count) / df)
    found = moderated(variances, pd.Series([df] * count))
    pooled = prior_df * prior / (prior_df - 2)  # the mean of the true variances
    expected = (prior_df * pooled + df * variances) / (prior_df + df)
    assert found["df"].iloc[0] == pytest.approx(prior_df + df, rel=0.03)
    assert (found["variance"] / expected).mean() == pytest.approx(1, abs=0.01)
    assert ((found["variance"] - true) ** 2).mean() < ((variances - true) ** 2).mean() / 2


def test_one_unsteady_configuration_keeps_a_larger_variance_of_its_own():
    variances = pd.Series([1.0, 1.2, 0.8, 1.1, 0.9, 100.0])
    found = moderated(variances, pd.Series([10] * 6))
    assert found["variance"].iloc[5] > 10 * found["variance"].iloc[0]


def test_a_single_training_takes_the_common_variance():
    found = moderated(pd.Series([1.0, 1.1, np.nan]), pd.Series([3, 3, 0]))
    assert found["variance"].iloc[2] == found["variance"].iloc[0] == pytest.approx(1.05)


def test_replicates_without_any_spread_have_no_variance():
    assert moderated(pd.Series([0.0, 0.0]), pd.Series([2, 2]))["variance"].tolist() == [0, 0]


def test_over_replicates_alone_a_difference_is_that_of_the_analysis_of_variance():
    # Spreads that are alike, so that the moderated variance is the pooled one.
    groups = {"a": [0.60, 0.61, 0.62], "b": [0.63, 0.64, 0.65], "c": [0.60, 0.62, 0.61]}
    ours = difference(trainings_of(groups), "b", "a")
    design = np.kron(np.eye(3), np.ones((3, 1)))
    theirs = OLS(np.concatenate(list(groups.values())), design).fit().t_test([-1, 1, 0])
    assert ours.value == pytest.approx(theirs.effect[0])
    assert ours.standard_error == pytest.approx(theirs.sd.item())
    assert ours.p_value == pytest.approx(theirs.pvalue.item())


def test_pictures_add_what_configurations_make_of_them():
    # Replicates agree on every picture, so only the choice of pictures is left to chance.
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 500)) < [[0.7], [0.6]]
    correct = np.array([first, first, second, second])
    accuracy = correct.mean(axis=1)
    trainings = trainings_of({"a": accuracy[:2], "b": accuracy[2:]}, correct)
    paired = stats.ttest_rel(first.astype(float), second.astype(float))
    ours = difference(trainings, "a", "b")
    assert ours.p_value == pytest.approx(paired.pvalue)
    assert ours.interval() == pytest.approx(tuple(paired.confidence_interval()))


def test_the_mean_of_one_configuration_varies_as_its_pictures_do():
    right = np.random.default_rng(0).random(400) < 0.6
    other = ~right
    correct = np.array([right, right, other, other])
    accuracy = correct.mean(axis=1)
    trainings = trainings_of({"a": accuracy[:2], "b": accuracy[2:]}, correct)
    ours = contrast(trainings, pd.Series({"a": 1.0}))
    assert ours.standard_error == pytest.approx(stats.sem(right.astype(float)))


def test_replicates_that_agree_by_luck_are_not_taken_for_certain():
    # Each training guesses anew, so the true error of a mean of two is √(p(1-p)/2n).
    rng = np.random.default_rng(0)
    correct = np.array([rng.permutation(1_000) < 600 for _ in range(4)])
    accuracy = correct.mean(axis=1)
    trainings = trainings_of({"a": accuracy[:2], "b": accuracy[2:]}, correct)
    ours = difference(trainings, "a", "b")
    assert accuracy.std() == 0
    assert ours.standard_error == pytest.approx(np.sqrt(0.24 / 1_000), rel=0.1)


def test_the_noise_of_a_mean_is_what_its_trainings_differ_by_on_each_picture():
    rng = np.random.default_rng(0)
    correct = rng.random((4, 300)) < 0.6
    accuracy = correct.mean(axis=1)
    noise = trainings_of({"b": accuracy[:3], "a": accuracy[3:]}, correct).noise
    assert noise.index.tolist() == ["b", "a"]
    assert noise["b"] == pytest.approx(correct[:3].var(axis=0, ddof=1).sum() / 3 / 300**2)
    assert noise["a"] == 0, "one training tells none"


def test_pairs_are_counted_once():
    assert all_pairs(12) == 66


def test_holm_gives_p_values_back_in_their_order():
    assert holm([0.04, 0.01, 0.03]).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.04, 0.01, 0.03], 10).tolist() == pytest.approx([0.32, 0.1, 0.27])
    assert holm([0.9, 0.8]).tolist() == [1, 1]


GROUPS = {
    "z": [0.60, 0.61, 0.62],
    "m": [0.70, 0.71, 0.72],
    "b": [0.50, 0.51, 0.52],
    "a": [0.70, 0.71, 0.72],
}


def test_others_stand_best_first_and_equals_in_the_order_of_the_trials():
    frame = compare_configurations(trainings_of(GROUPS), "z")
    assert frame["id"].tolist() == ["m", "a", "b"]
    assert frame["difference"].tolist() == pytest.approx([0.1, 0.1, -0.1])
    assert frame["verdict"].tolist() == [Verdict.BETTER, Verdict.BETTER, Verdict.WORSE]


def test_configurations_are_adjusted_for_all_pairs_of_them():
    trainings = trainings_of(GROUPS)
    row = compare_configurations(trainings, "z").iloc[0]
    # Variances that are all alike are pooled: 8 degrees of freedom, and 6 pairs of 4.
    error = 0.01 * np.sqrt(2 / 3)
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(0.1 / error, 8))
    assert row["p_adjusted"] == pytest.approx(6 * row["p_value"])
    reach = stats.t.isf(0.05 / 6 / 2, 8) * error
    assert row["difference_low"] == pytest.approx(0.1 - reach)
    assert row["difference_high"] == pytest.approx(0.1 + reach)
    shown = error * (stats.t.isf(0.05 / 6 / 2, 8) + stats.t.ppf(0.8, 8))
    assert row["detectable"] == pytest.approx(shown)


def test_replicates_are_counted_by_configuration():
    trainings = trainings_of({"b": [0.5], "a": [0.6, 0.7]})
    assert trainings.means.to_dict() == {"b": 0.5, "a": pytest.approx(0.65)}
    assert trainings.means.index.tolist() == ["b", "a"]
    assert trainings.replicates.tolist() == [1, 2]
    assert trainings.replicated
    assert trainings.seeds_df == 1
    assert not trainings_of({"b": [0.5], "a": [0.6]}).replicated


def test_moderated_variances_have_no_more_freedom_than_all_trainings_together():
    # Logarithms that spread a little more than chance would have it, so the prior knows much.
    found = moderated(pd.Series([1.0, 6.5]), pd.Series([2, 2]))
    assert found["variance"][0] < found["variance"][1] < 6.5
    assert found["df"].tolist() == [4, 4]


def test_replicates_that_agree_are_pooled_with_the_others():
    found = moderated(pd.Series([0.0, 1.0, 1.1]), pd.Series([2, 2, 2]))
    assert found["variance"].tolist() == pytest.approx([0.7] * 3)
    assert found["df"].tolist() == [6] * 3
