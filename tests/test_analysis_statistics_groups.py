"""Groups of few pictures: no interval claims to know what six pictures cannot tell."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from analysis.statistics.groups import changes, differences, scores


def answers(*rights):
    """Return answers of groups a, b, …, of which these pictures were told right."""
    right = np.concatenate([np.asarray(each, bool) for each in rights])
    label = np.arange(len(right)) % 2
    group = np.repeat(list("abc")[: len(rights)], [len(each) for each in rights])
    frame = pd.DataFrame({"label": label, "predicted": np.where(right, label, 1 - label)})
    return frame, pd.Series(group, name="group")


def test_the_accuracy_of_a_group_has_a_wilson_interval():
    told, group = answers([1] * 6, [1] * 30 + [0] * 10)
    found = scores(told, group.to_frame())
    for name, right, n in (("a", 6, 6), ("b", 30, 40)):
        low, high = proportion_confint(right, n, method="wilson")
        ours = found.loc[name, ["accuracy_low", "accuracy_high"]].tolist()
        assert ours == pytest.approx([low, high])
    assert found.loc["a", "accuracy_low"] < 0.65


def differences_of(*rights):
    return differences(*answers(*rights), 2).set_index("metric")


def test_two_groups_of_six_that_differ_in_all_do_not_surely_do_so():
    found = differences_of([1] * 6, [0] * 6)
    row = found.loc["accuracy"]
    # By hand: the ends of the Wilson intervals of 6 of 6 (0.6097) and 0 of 6 (0.3903).
    assert row["difference"] == 1
    assert row["difference_low"] == pytest.approx(1 - np.hypot(1 - 0.6097, 0.3903), abs=1e-4)
    assert row["difference_high"] == pytest.approx(1)
    others = found.drop(index="accuracy")
    assert others[["difference_low", "difference_high"]].isna().all(axis=None)
    assert found[["ratio_low", "ratio_high"]].isna().all(axis=None)


def test_the_difference_in_accuracy_is_the_published_example_of_newcombe():
    # Newcombe (1998), table II, method 10: 56/70 and 48/80.
    row = differences_of([1] * 56 + [0] * 14, [1] * 48 + [0] * 32).loc["accuracy"]
    interval = (row["difference_low"], row["difference_high"])
    assert interval == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]


def test_a_change_of_every_picture_of_a_few_has_no_interval():
    before, _ = answers([0] * 6)
    after, _ = answers([1] * 6)
    found = changes(before, after, 2)
    assert found["accuracy_change"] == 1
    assert np.isnan([found["accuracy_change_low"], found["accuracy_change_high"]]).all()
    after, _ = answers([1] * 5 + [0])
    found = changes(before, after, 2)
    assert found["accuracy_change_low"] < found["accuracy_change"] < found["accuracy_change_high"]
