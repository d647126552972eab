"""Groups of few pictures: no interval claims to know what six pictures cannot tell."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from analysis.groups.statistics import (
    Drawn,
    changes,
    confusion,
    crossings,
    differences,
    drawn,
    scores,
)


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


def test_pictures_that_are_alike_widen_the_interval_of_their_group():
    told, group = answers([1] * 30 + [0] * 10)
    found = scores(told.assign(cluster=np.arange(40) // 2), group.to_frame()).loc["a"]
    effect = 2 * (20 / 19) / (40 / 39)  # 20 clusters of two instead of 40 pictures
    ends = proportion_confint(30 / effect, 40 / effect, method="wilson")
    assert found[["accuracy_low", "accuracy_high"]].tolist() == pytest.approx(ends)


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


def random_answers(seed, count, classes=3, skill=0.6):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, count)
    right = rng.random(count) < skill
    told = np.where(right, label, rng.integers(0, classes, count))
    return pd.DataFrame({"label": label, "predicted": told})


def test_every_metric_of_a_group_is_that_of_scikit_learn_on_its_pictures():
    told = random_answers(1, 90)
    group = pd.Series(["z"] * 20 + ["a"] * 60 + [None] * 10, name="hat")
    found = scores(told, group.to_frame())
    assert found.index.tolist() == ["a", "z"]
    assert found["n"].tolist() == [60, 20]
    for name, rows in (("a", told[20:80]), ("z", told[:20])):
        truth, given = rows["label"], rows["predicted"]
        assert found.loc[name, "accuracy"] == pytest.approx(accuracy_score(truth, given))
        for average in ("macro", "micro"):
            theirs = precision_recall_fscore_support(truth, given, average=average)
            keys = [f"{average}_{score}" for score in ("precision", "recall", "f1")]
            assert found.loc[name, keys].tolist() == pytest.approx(list(theirs[:3]))


def test_macro_averages_leave_out_classes_that_a_group_lacks():
    # The second group has no picture of class 2, but one of its pictures is predicted to be of it.
    told = pd.DataFrame({"label": [0, 1, 2, 0, 0, 0, 1, 1], "predicted": [0, 1, 2, 0, 0, 2, 1, 0]})
    hat = pd.Series(["a"] * 3 + ["b"] * 5, name="hat")
    found = scores(told, hat.to_frame()).loc["b"]
    assert found["macro_recall"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["macro_f1"] == pytest.approx((2 * 2 / 6 + 2 * 1 / 3) / 2)
    truth, given = told["label"][3:], told["predicted"][3:]
    theirs = precision_recall_fscore_support(truth, given, average="macro", labels=[0, 1])
    keys = [f"macro_{name}" for name in ("precision", "recall", "f1")]
    assert found[keys].tolist() == pytest.approx(list(theirs[:3]))
    rows = differences(told, hat, 3).set_index("metric")
    assert rows.loc[keys, "second_value"].tolist() == pytest.approx(list(theirs[:3]))


def test_crossed_groups_need_both_columns():
    told = random_answers(2, 40)
    groups = pd.DataFrame(
        {"hat": ["x", "y", None, "y"] * 10, "age": ["old", "new", "old", "old"] * 10}
    )
    found = scores(told, groups)
    assert found["n"].to_dict() == {("x", "old"): 10, ("y", "new"): 10, ("y", "old"): 10}
    assert scores(told, groups.assign(hat=None)).empty
    assert crossings(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_difference_is_the_first_group_less_the_second_and_a_ratio_the_first_over_it():
    told = pd.concat([random_answers(3, 120, skill=0.8), random_answers(4, 50, skill=0.3)])
    told = told.reset_index(drop=True)
    group = pd.Series(["young"] * 120 + ["old"] * 50)
    rows = differences(told, group, 3)
    assert (rows["first"] == "old").all()
    assert (rows["second"] == "young").all()
    assert rows["metric"].tolist() == ["accuracy", "macro_precision", "macro_recall", "macro_f1"]
    assert rows["n_first"].tolist() == [50] * 4
    assert rows["n_second"].tolist() == [120] * 4
    rows = rows.set_index("metric")
    old, young = (
        f1_score(r["label"], r["predicted"], average="macro") for r in (told[120:], told[:120])
    )
    row = rows.loc["macro_f1"]
    assert (row["first_value"], row["second_value"]) == pytest.approx((old, young))
    assert row["difference"] == pytest.approx(old - young)
    assert old < young
    assert row["ratio"] == pytest.approx(old / young)


def test_the_pictures_of_two_groups_are_drawn_independently():
    # Two groups that answer alike: drawn with the same numbers, they would never differ.
    label = np.tile([0, 1], 200)
    right = np.arange(400) % 20 < 12
    told = pd.DataFrame({"label": label, "predicted": np.where(right, label, 1 - label)})
    both = pd.concat([told, told], ignore_index=True)
    row = differences(both, pd.Series(["a"] * 400 + ["b"] * 400), 2).set_index("metric")
    row = row.loc["macro_recall"]
    assert row["difference"] == 0
    # Equal classes: macro recall has the variance p(1-p)/n; ends of 2,000 draws are within 5 %.
    reach = 1.96 * np.sqrt(2 * 0.6 * 0.4 / 400)
    assert row["difference_high"] == pytest.approx(reach, rel=0.08)
    assert row["difference_low"] == pytest.approx(-reach, rel=0.08)


def test_a_change_is_after_less_before_on_pictures_drawn_in_pairs():
    before = random_answers(5, 300, skill=0.4)
    better = np.random.default_rng(6).random(300) < 0.3
    after = before.assign(predicted=np.where(better, before["label"], before["predicted"]))
    found = changes(before, after, 3)
    right = [(each["label"] == each["predicted"]).to_numpy(float) for each in (before, after)]
    scores_ = [
        f1_score(each["label"], each["predicted"], average="macro") for each in (before, after)
    ]
    assert found["n"] == 300
    keys = ["accuracy_before", "accuracy_after", "macro_f1_before", "macro_f1_after"]
    assert [found[key] for key in keys] == pytest.approx(
        [right[0].mean(), right[1].mean(), *scores_]
    )
    assert found["accuracy_change"] == pytest.approx(right[1].mean() - right[0].mean())
    assert found["accuracy_change"] > 0
    assert found["macro_f1_change"] == pytest.approx(scores_[1] - scores_[0])
    theirs = stats.bootstrap(
        (right[1] - right[0],), np.mean, n_resamples=2_000, method="percentile", rng=0
    ).confidence_interval
    width = theirs.high - theirs.low
    ours = (found["accuracy_change_low"], found["accuracy_change_high"])
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.08 * width)


def test_true_classes_stand_in_the_rows_of_a_confusion():
    told = pd.DataFrame({"label": [0, 0, 2], "predicted": [1, 0, 1]})
    assert confusion(told, 3).tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


def test_copies_of_every_picture_change_no_interval_of_a_group():
    told = random_answers(5, 300, skill=0.7)
    after = random_answers(6, 300, skill=0.7).assign(label=told["label"])
    group = pd.Series(np.repeat(["a", "b"], 150), name="hat")
    twice, again, both = (
        frame.loc[np.repeat(frame.index, 2)].reset_index(drop=True)
        for frame in (told.assign(cluster=np.arange(300)), after, group.to_frame())
    )
    one, two = scores(told, group.to_frame()), scores(twice, both)
    # G / (G - 1) over n / (n - 1) is what 150 clusters of two differ by from 150 pictures.
    ends = ["accuracy_low", "accuracy_high"]
    assert two[ends].to_numpy() == pytest.approx(one[ends].to_numpy(), abs=5e-4)
    assert two["n"].tolist() == [300, 300]
    first, second = differences(told, group, 3), differences(twice, both["hat"], 3)
    row = ["difference", "difference_low", "difference_high"]
    # Ends from 2,000 draws are uncertain by about 3 % of the width, here 0.2.
    assert second[row].to_numpy() == pytest.approx(first[row].to_numpy(), abs=0.02)
    ours, theirs = changes(twice, again, 3), changes(told, after, 3)
    assert ours["n"] == 600
    for key, value in theirs.items():
        assert key == "n" or ours[key] == pytest.approx(value, abs=0.02), key


def test_a_change_with_five_hundred_classes_takes_the_memory_of_its_pictures():
    """All combinations of three classes would take 2 TB."""
    rng = np.random.default_rng(3)
    labels, first, second = rng.integers(0, 500, (3, 300))
    right = rng.random(300) < 0.5
    before = pd.DataFrame({"label": labels, "predicted": np.where(right, labels, first)})
    after = before.assign(predicted=np.where(rng.random(300) < 0.7, labels, second))
    few = drawn(before.assign(after=after["predicted"]), before, 500, np.random.default_rng(0))
    assert len(few.cells) <= 301
    assert few.counts[0].sum() == 300
    told = before["predicted"].to_numpy() * 500 + after["predicted"].to_numpy()
    expected = np.bincount(told, minlength=500**2).reshape(500, 500)
    # Only the data's own: 2,000 draws of 500×500 cells are for those who ask for them.
    own = Drawn(cells=few.cells, counts=few.counts[:1]).confusions(1, 2, 500)[0]
    np.testing.assert_array_equal(own, expected)


def test_drawn_tables_hold_whole_clusters_and_as_many_of_them():
    told = pd.DataFrame({"label": [0, 0, 0, 1, 1], "predicted": [0, 0, 1, 1, 0]})
    answers = told.assign(cluster=[7, 7, 7, 2, 3])
    tables = drawn(told, answers, 2, np.random.default_rng(0)).confusions(0, 1, 2)
    assert tables[0].tolist() == [[2, 1], [1, 1]]
    draws = tables[1:].reshape(-1, 4)
    # The cluster of three adds 2 and 1 at once; with the other two it makes three clusters.
    assert (draws[:, 0] == 2 * draws[:, 1]).all()
    assert (draws[:, 1] + draws[:, 2] + draws[:, 3] == 3).all()
    assert draws[:, 1].mean() == pytest.approx(1, abs=0.07)  # of 2,000 draws, four errors


def test_a_ratio_to_a_group_without_any_right_answer_is_not_known():
    found = differences_of([1] * 6 + [0] * 4, [0] * 10)
    assert found.loc["accuracy", "difference"] == pytest.approx(0.6)
    assert np.isnan(found.loc["accuracy", "ratio"])
