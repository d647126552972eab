"""Comparisons with the best against scipy, by hand, and on sweeps whose truth is known."""

from functools import partial

import numpy as np
import pytest
from scipy import optimize, stats

from analysis.comparisons.best import Standing, _root, with_the_best
from analysis.comparisons.pairwise import pairs_of, pairs_of_trainings
from analysis.statistics.estimate import Estimate
from analysis.statistics.trainings import difference
from tests.support.trainings import trainings_of

GROUPS = {
    "a": [0.60, 0.61, 0.62],
    "b": [0.62, 0.63, 0.64],
    "c": [0.625, 0.635, 0.645],
    "d": [0.55, 0.56, 0.57],
}


def dunnett(count, df):
    """Return the one-sided 95 % quantile of equally many trainings, count - 1 against a control."""
    correlation = 0.5 + 0.5 * np.eye(count - 1)
    joint = stats.multivariate_t(shape=correlation, df=df, seed=0)
    low, high = 1.0, 5.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if joint.cdf([middle] * (count - 1)) < 0.95 else (low, middle)
    return low


def compared(groups, margin=0.01, **options):
    trainings = trainings_of(groups)
    pairs = pairs_of_trainings(trainings, list(groups))
    return with_the_best(pairs, margin, **options).set_index("id")


def test_intervals_are_those_of_hsu_with_the_quantile_of_dunnett():
    frame = compared(GROUPS)
    reach = dunnett(4, 8) * 0.01 * np.sqrt(2 / 3)  # spreads are alike, so they are pooled
    # 10,000 draws tell the quantile to about 1 %.
    close = partial(pytest.approx, abs=0.015 * reach)
    assert reach > 0.015
    # b and c are within the reach of each other, a is 0.025 below c, d more.
    assert frame.loc["c", "difference"] == pytest.approx(0.005)
    assert frame.loc["c", "difference_low"] == close(0.005 - reach)
    assert frame.loc["c", "difference_high"] == close(0.005 + reach)
    assert frame.loc["b", "difference_low"] == close(-0.005 - reach)
    assert frame.loc["b", "difference_high"] == close(-0.005 + reach)
    # Those that are not the best are compared with those that may be, and end at 0.
    assert frame.loc["a", "difference_low"] == close(-0.025 - reach)
    assert frame.loc["d", ["difference_low", "difference_high"]].tolist() == [
        close(-0.075 - reach),
        0,
    ]
    assert frame["verdict"].tolist() == [
        Standing.NOT_BEST,
        Standing.MAY_BE,
        Standing.MAY_BE,
        Standing.NOT_BEST,
    ]


@pytest.mark.parametrize("known", [True, False])
def test_all_differences_are_those_of_two_configurations_at_a_time(known):
    rng = np.random.default_rng(0)
    counts = {"d": 3, "b": 5, "a": 1, "c": 4}  # names are not in their order
    shares = {"d": 0.6, "b": 0.62, "a": 0.7, "c": 0.65}
    correct = np.concatenate([rng.random((counts[k], 300)) < shares[k] for k in counts])
    ends = np.cumsum(list(counts.values()))[:-1]
    groups = dict(zip(counts, np.split(correct.mean(axis=1), ends), strict=True))
    trainings = trainings_of(groups, correct if known else None)
    ids = ["d", "a", "c", "b"]
    ours = pairs_of_trainings(trainings, ids)
    theirs = pairs_of(ids, partial(difference, trainings))
    apart = ~np.eye(4, dtype=bool)
    for name in ("differences", "errors", "df"):
        one, other = (getattr(each, name)[apart] for each in (ours, theirs))
        assert one.tolist() == pytest.approx(other.tolist())
    assert (ours.errors.diagonal() == 0).all()


def test_each_configuration_keeps_its_own_spread_where_spreads_differ():
    groups = {
        "d": [0.5, 0.6, 0.7, 0.55],
        "b": [0.6, 0.6001, 0.6002],
        "a": [0.62],
        "c": [0.61, 0.613, 0.611, 0.607],
    }
    trainings = trainings_of(groups)
    assert trainings.seeds["variance"].nunique() == 4
    ids = ["c", "d", "a", "b"]
    ours = pairs_of_trainings(trainings, ids)
    theirs = pairs_of(ids, partial(difference, trainings))
    for name in ("differences", "errors", "df"):
        apart = ~np.eye(4, dtype=bool)
        one, other = (getattr(each, name)[apart] for each in (ours, theirs))
        assert one.tolist() == pytest.approx(other.tolist())


def test_replicates_without_spread_have_no_error():
    pairs = pairs_of_trainings(trainings_of({"a": [0.5, 0.5], "b": [0.6, 0.6]}), ["a", "b"])
    assert (pairs.errors == 0).all()
    assert np.isinf(pairs.df).all()


def test_one_that_is_better_than_every_other_is_the_best_and_its_interval_begins_at_0():
    frame = compared({**GROUPS, "e": [0.70, 0.71, 0.72]})
    assert frame.loc["e", "verdict"] == Standing.BEST
    assert frame.loc["e", "difference_low"] == 0
    assert frame.loc["e", "difference_high"] > 0.075
    assert (frame.drop(index="e")["verdict"] == Standing.NOT_BEST).all()


def test_what_loses_less_than_the_margin_is_as_good_as_the_best():
    wide = compared(GROUPS, 0.03)["verdict"]
    assert wide[["b", "c"]].tolist() == [Standing.AS_GOOD] * 2
    assert wide["d"] == Standing.NOT_BEST
    assert compared(GROUPS, 0.012)["verdict"]["c"] == Standing.MAY_BE


def test_a_few_pictures_do_not_make_candidates_as_good_as_the_best():
    agree = pairs_of(["a", "b"], lambda *_: Estimate(value=0.0, standard_error=1e-4))
    assert set(with_the_best(agree, 0.01, pictures=300)["verdict"]) == {Standing.AS_GOOD}
    assert set(with_the_best(agree, 0.01, pictures=200)["verdict"]) == {Standing.MAY_BE}


def test_candidates_without_any_error_are_ordered_and_equals_share_the_top():
    values = {"a": 0.5, "b": 0.6, "c": 0.6}
    pairs = pairs_of(
        list(values), lambda i, j: Estimate(value=values[i] - values[j], standard_error=0.0)
    )
    verdicts = with_the_best(pairs, 0.01, pictures=10)["verdict"].tolist()
    assert verdicts == [Standing.NOT_BEST, Standing.MAY_BE, Standing.MAY_BE]


def test_one_that_is_below_the_best_by_the_very_margin_is_as_good():
    pairs = pairs_of(["a", "b"], lambda *_: Estimate(value=0.25, standard_error=0.0))
    assert with_the_best(pairs, 0.25)["verdict"].tolist() == [Standing.AS_GOOD, Standing.BEST]
    assert with_the_best(pairs, 0.24)["verdict"].tolist() == [Standing.NOT_BEST, Standing.BEST]


def test_differences_with_unequal_errors_have_the_quantile_of_their_own_candidate():
    values, variances = {"a": 0.6, "b": 0.61, "c": 0.62}, {"a": 1e-4, "b": 1e-4, "c": 25e-4}
    ids = list(values)
    pairs = pairs_of(
        ids,
        lambda i, j: Estimate(
            value=values[i] - values[j], standard_error=np.sqrt(variances[i] + variances[j])
        ),
    )
    quantile = {}
    for i in ids:
        first, second = (name for name in ids if name != i)
        scale = np.sqrt((variances[i] + variances[first]) * (variances[i] + variances[second]))
        shared = variances[i] / scale
        joint = stats.multivariate_normal(cov=[[1, shared], [shared, 1]])
        quantile[i] = optimize.brentq(lambda z, joint=joint: joint.cdf([z, z]) - 0.95, 1, 3)
    assert quantile["a"] > 1.1 * quantile["c"]
    frame = with_the_best(pairs, 0.01).set_index("id")

    def reach(control, other):
        return quantile[control] * np.sqrt(variances[control] + variances[other])

    for i in ids:  # each may be the best, so each is compared with both others
        others = [name for name in ids if name != i]
        low = min(values[i] - values[j] - reach(j, i) for j in others)
        high = min(values[i] - values[j] + reach(i, j) for j in others)
        # 10,000 draws tell a quantile to about 1 %.
        assert frame.loc[i, "difference_low"] == pytest.approx(low, rel=0.02)
        assert frame.loc[i, "difference_high"] == pytest.approx(high, rel=0.03)
    # As good is what the same lower ends tell: c may be below b by the reach from b.
    between = (reach("b", "c") + reach("c", "b")) / 2 - 0.01
    assert with_the_best(pairs, between)["verdict"].iloc[2] == Standing.MAY_BE
    assert with_the_best(pairs, 1.05 * (reach("b", "c") - 0.01))["verdict"].iloc[2] == (
        Standing.AS_GOOD
    )


def test_the_errors_of_all_differences_come_from_one_covariance():
    points = np.random.default_rng(2).normal(size=(4, 3))
    apart = ((points[:, None] - points) ** 2).sum(axis=2)
    root = _root(apart)
    assert ((root[:, None] - root) ** 2).sum(axis=2) == pytest.approx(apart)


def test_unseen_candidates_widen_the_intervals_to_those_of_as_many_independent_ones():
    seen, more = compared(GROUPS), compared(GROUPS, unseen=96)
    reach = more.loc["c", "difference_high"] - 0.005
    assert reach > seen.loc["c", "difference_high"] - 0.005
    # Bonferroni is more than needed, Dunnett for 100 correlated ones less.
    assert reach < stats.t.isf(0.05 / 99, 8) * 0.01 * np.sqrt(2 / 3)
    assert reach > 0.985 * dunnett(20, 8) * 0.01 * np.sqrt(2 / 3)


def test_one_that_cannot_be_compared_with_an_earlier_one_is_left_out():
    def pair(first, second):
        unknown = {first, second} == {"b", "d"}
        return Estimate(value=0.1, standard_error=np.nan if unknown else 0.01, df=3)

    assert pairs_of(["a", "b", "c", "d"], pair).ids == ("a", "b", "c")


def test_replicates_that_agree_by_luck_have_the_error_of_single_answers_in_every_pair():
    # Every training is right on 120 other pictures, so replicates agree and seeds seem certain.
    rng = np.random.default_rng(0)
    correct = np.stack([rng.permutation(200) < 120 for _ in range(8)])
    trainings = trainings_of({name: [0.6, 0.6] for name in "abcd"}, correct)
    ours = pairs_of_trainings(trainings, list("abcd"))
    theirs = pairs_of(list("abcd"), partial(difference, trainings))
    assert (theirs.errors[~np.eye(4, dtype=bool)] > 0).all()
    for name in ("errors", "df"):
        np.testing.assert_allclose(
            *(getattr(each, name)[~np.eye(4, dtype=bool)] for each in (ours, theirs))
        )
