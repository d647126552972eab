"""Comparisons of one with each of the others, against formulas by hand."""

from math import inf, sqrt

import numpy as np
import pandas as pd
import pytest

from analysis.comparisons.against import (
    compare_configurations,
    compare_trained_models,
    folds_apart,
    judged,
    models_apart,
)
from analysis.statistics.clusters import clusters_of
from analysis.statistics.estimate import Estimate
from analysis.statistics.verdicts import Verdict, equivalence, holm
from tests.support.trainings import trainings_of


def test_differences_are_adjusted_in_both_tests_and_in_intervals():
    estimates = {
        "a": Estimate(value=0.03, standard_error=0.01, df=8),
        "b": Estimate(value=-0.001, standard_error=0.002, df=12),
    }
    frame = judged(estimates, 6, 0.02, 10_000)
    own = list(estimates.values())
    assert frame["id"].tolist() == ["a", "b"]
    assert frame["difference_low"].tolist() == [each.interval(6)[0] for each in own]
    assert frame["difference_high"].tolist() == [each.interval(6)[1] for each in own]
    assert frame["detectable"].tolist() == [each.detectable(6) for each in own]
    assert frame["p_value"].tolist() == [each.p_value for each in own]
    assert frame["p_adjusted"].tolist() == holm([each.p_value for each in own], 6).tolist()
    within = [equivalence(each, 0.02, 10_000) for each in own]
    assert frame["p_equivalent"].tolist() == holm(within, 6).tolist()
    assert frame["p_equivalent"].iloc[1] > min(within)


@pytest.mark.parametrize(("pictures", "told"), [(None, Verdict.EQUIVALENT), (20, None)])
def test_few_pictures_do_not_make_configurations_equivalent(pictures, told):
    groups = {"a": [0.5, 0.5, 0.5001], "b": [0.5, 0.5, 0.5001]}
    correct = None if pictures is None else np.tile(np.arange(pictures) % 2 == 0, (6, 1))
    (row,) = compare_configurations(trainings_of(groups, correct), "a").to_dict("records")
    assert row["verdict"] == (told or Verdict.NOT_SHOWN)


def test_the_margin_of_configurations_is_the_one_given():
    groups = {"a": [0.5, 0.501, 0.502], "b": [0.51, 0.511, 0.512], "c": [0.4, 0.401, 0.402]}
    narrow, wide = (
        compare_configurations(trainings_of(groups), "a", margin).set_index("id")
        for margin in (0.001, 0.05)
    )
    assert narrow.index.tolist() == ["b", "c"]
    assert wide.loc["b", "p_equivalent"] < 0.05 < narrow.loc["b", "p_equivalent"]
    assert narrow.loc["b", "difference"] == pytest.approx(0.01)
    assert narrow["verdict"].tolist() == [Verdict.BETTER, Verdict.WORSE]


def test_copies_are_no_pictures_in_the_equivalence_of_models():
    right = np.arange(4_000) % 2 == 0
    correct = pd.DataFrame([right, right], index=["a", "b"])
    alone = compare_trained_models(correct, "a", 1)
    copies = clusters_of(pd.Series(np.arange(4_000) // 1_000))
    together = compare_trained_models(correct, "a", 1, clusters=copies)
    same = Estimate(value=0.0, standard_error=0.0)
    assert alone["p_equivalent"].iloc[0] == pytest.approx(equivalence(same, 0.01, 4_000))
    assert together["p_equivalent"].iloc[0] == pytest.approx(equivalence(same, 0.01, 4))
    assert alone["verdict"].tolist() == [Verdict.EQUIVALENT]
    assert together["verdict"].tolist() == [Verdict.NOT_SHOWN]


def test_the_error_of_two_models_has_a_further_picture_that_they_tell_differently():
    first, second = np.arange(100) < 60, np.arange(100) >= 50
    correct = pd.DataFrame([first, second], index=["a", "b"])
    clusters = clusters_of(pd.Series(np.arange(100)))
    found = models_apart(correct, clusters, "a", "b")
    # 50 and 40 pictures of 100 are told right by one alone: of the score test, the variance of
    # equally good models is their share over n.
    assert found.value == pytest.approx(0.1)
    assert found.standard_error == pytest.approx(sqrt((0.9 + 1 / 100) / 100))
    assert found.df == inf
    pairs = clusters_of(pd.Series(np.arange(100) // 2))
    both = models_apart(correct, pairs, "a", "b")
    # The two pictures of a cluster are alike, so there are 50 differences of which 45 are not 0.
    apart = np.repeat([1, 0, -1], [25, 5, 20])
    assert both.standard_error**2 == pytest.approx(apart.var(ddof=1) / 50 + (0.01 + 1 / 50) / 50)


def test_configurations_are_compared_over_the_folds_that_both_have():
    table = pd.DataFrame(
        [[0.7, 0.6, np.nan, 0.9], [0.5, 0.5, 0.1, np.nan]], index=["a", "b"], columns=range(4)
    )
    found = folds_apart(table, 1 / 3, "a", "b")
    assert found.value == pytest.approx(0.15)
    assert found.standard_error == pytest.approx(sqrt((1 / 2 + 1 / 3) * 0.005))
    single = folds_apart(table[[0, 2]], 1 / 3, "a", "b")
    assert (single.value, np.isnan(single.standard_error)) == (0.0, True)
