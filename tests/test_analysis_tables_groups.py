"""Tables by group of pictures: averages, classes, what changed, and what is marked as small."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from analysis.groups.table import group_tables

CLASSES = ("sad", "angry", "calm")
COUNT = 90


def answers_of(seed, skill):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, COUNT)
    told = np.where(rng.random(COUNT) < skill, label, (label + 1) % 3)
    index = pd.Index([f"p{number}" for number in range(COUNT)], name="image_id")
    return pd.DataFrame({"label": label, "predicted": told}, index=index)


@pytest.fixture(scope="module")
def answers():
    return answers_of(3, 0.7)


@pytest.fixture(scope="module")
def groups(answers):
    """Ages of 29, 30 and 25 pictures, six without any; and two hats."""
    age = ["old"] * 29 + ["young"] * 30 + ["child"] * 25 + [None] * 6
    age = pd.Categorical(age, ["child", "young", "old"], ordered=True)
    hat = pd.Categorical(["yes", "no", "no"] * 30, ["no", "yes"], ordered=True)
    return pd.DataFrame({"age": age, "hat": hat}, index=answers.index)


@pytest.fixture(scope="module")
def plain(answers, groups):
    made = group_tables(answers, None, groups, CLASSES, ("A note.",))
    return {table.name: table for table in made}


@pytest.fixture(scope="module")
def retrained(answers, groups):
    """The same with what was told before, of the first 60 pictures only and backwards."""
    before = answers_of(3, 0.7).assign(predicted=answers_of(4, 0.3)["predicted"]).iloc[59::-1]
    made = group_tables(answers, before, groups, CLASSES, ())
    return before, {table.name: table for table in made}


def right(rows):
    return (rows["label"] == rows["predicted"]).mean()


def test_tables_of_one_model_stand_in_their_order(plain):
    names = ["groups", "differences", "crossed", "classes"]
    assert list(plain) == [f"bias_{name}" for name in names]
    for table in plain.values():
        assert table.notes[0] == "A note."
        assert table.notes[1].startswith("small: fewer than 30 pictures.")


def test_a_single_column_has_nothing_to_cross(answers, groups):
    made = group_tables(answers, None, groups[["age"]], CLASSES, ())
    assert "bias_crossed" not in {table.name for table in made}


def test_groups_stand_in_their_order_with_their_average(plain, answers, groups):
    frame = plain["bias_groups"].frame
    assert list(zip(frame["attribute"], frame["group"], strict=True)) == [
        ("age", "child"), ("age", "young"), ("age", "old"), ("age", "average"),
        ("hat", "no"), ("hat", "yes"), ("hat", "average"),
    ]  # fmt: skip
    assert frame["n"].tolist() == [25, 30, 29, 84, 60, 30, 90]
    assert frame["small"].tolist() == ["small", "", "small", "", "", "", ""]
    own = [right(answers[groups["age"] == name]) for name in ("child", "young", "old")]
    assert frame["accuracy"].tolist()[:3] == pytest.approx(own)
    average = frame.iloc[3]
    assert average["accuracy"] == pytest.approx(np.mean(own))
    assert np.isnan(average["accuracy_low"])
    headings = list(plain["bias_groups"].views[0].shown(frame).columns)
    assert headings == [
        "attribute", "group", "accuracy", "95 %", "precision, macro", "precision, micro",
        "recall, macro", "recall, micro", "F1, macro", "F1, micro", "n", "",
    ]  # fmt: skip
    keys = [column.key for column in plain["bias_groups"].views[0].columns][4:10]
    scores = ("precision", "recall", "f1")
    assert keys == [f"{average}_{score}" for score in scores for average in ("macro", "micro")]


def test_crossed_groups_are_named_by_both(plain, answers, groups):
    frame = plain["bias_crossed"].frame
    assert set(frame["attribute"]) == {"age, hat"}
    row = frame[frame["group"] == "young, yes"].iloc[0]
    own = answers[(groups["age"] == "young") & (groups["hat"] == "yes")]
    assert (row["n"], row["accuracy"]) == (len(own), pytest.approx(right(own)))
    assert frame["group"].tolist()[0] == "child, no"


def test_differences_are_of_every_two_groups_of_an_attribute(plain, answers, groups):
    frame = plain["bias_differences"].frame
    pairs = frame[frame["metric"] == "accuracy"]
    assert pairs[["attribute", "first", "second"]].to_numpy().tolist() == [
        ["age", "child", "young"],
        ["age", "child", "old"],
        ["age", "young", "old"],
        ["hat", "no", "yes"],
    ]
    assert pairs["small"].tolist() == ["small", "small", "small", ""]
    own = {name: right(answers[groups["age"] == name]) for name in ("child", "young")}
    assert pairs["difference"].iloc[0] == pytest.approx(own["child"] - own["young"])
    assert (
        plain["bias_differences"].notes[2] == "4 pairs: each interval holds only for its own pair."
    )
    shown = plain["bias_differences"].views[0].shown(frame)
    assert shown["metric"].tolist()[:4] == [
        "accuracy", "macro precision", "macro recall", "macro F1",
    ]  # fmt: skip
    value = frame["difference"].iloc[0]
    assert shown["difference"].iloc[0].startswith("+" if value > 0 else "-")


def test_a_class_is_shared_out_among_the_groups(plain, answers, groups):
    frame = plain["bias_classes"].frame
    own = frame[(frame["attribute"] == "age") & (frame["class"] == "angry")].set_index("group")
    known = answers[groups["age"].notna()]
    for name, row in own.iterrows():
        mine = answers[groups["age"] == name]
        assert row["n"] == (mine["label"] == 1).sum()
        expected = (mine["label"] == 1).sum() / (known["label"] == 1).sum()
        assert row["share_of_class"] == pytest.approx(expected)
        told_right = ((mine["label"] == 1) & (mine["predicted"] == 1)).sum()
        assert row["recall"] == pytest.approx(told_right / (mine["label"] == 1).sum())
        assert row["precision"] == pytest.approx(told_right / (mine["predicted"] == 1).sum())
    assert own["share_of_class"].sum() == pytest.approx(1)
    assert frame["class"].tolist()[:3] == list(CLASSES)


def test_before_and_after_stand_in_tables_of_their_own(retrained):
    before, tables = retrained
    names = ["groups_before", "groups", "change", "differences", "crossed", "classes"]
    assert list(tables) == [f"bias_{name}" for name in names]
    assert tables["bias_groups"].views[0].title == "Groups, after"
    frame = tables["bias_groups_before"].frame
    old = frame[(frame["attribute"] == "age") & (frame["group"] == "old")].iloc[0]
    assert old["accuracy"] == pytest.approx(right(before.loc[[f"p{k}" for k in range(29)]]))
    assert frame.loc[frame["attribute"] == "hat", "n"].tolist() == [40, 20, 60]
    after = tables["bias_groups"].frame
    assert after.loc[after["attribute"] == "hat", "n"].tolist() == [60, 30, 90]
    told = {name for name, table in tables.items() if "another seed" in " ".join(table.notes)}
    assert told == {"bias_change"}


def test_a_change_is_told_for_a_group_and_for_all_others(retrained, answers, groups):
    before, tables = retrained
    frame = tables["bias_change"].frame
    assert frame[["attribute", "group"]].to_numpy().tolist() == [
        ["all", "all"], ["age", "child"], ["age", "young"], ["age", "old"],
        ["hat", "no"], ["hat", "yes"],
    ]  # fmt: skip
    after = answers.loc[before.index]
    own = groups["age"].loc[before.index]
    row = frame.iloc[3]
    inside, outside = own == "old", own.notna() & (own != "old")
    assert row["n"] == 29
    assert row["accuracy_before"] == pytest.approx(right(before[inside]))
    assert row["accuracy_after"] == pytest.approx(right(after[inside]))
    assert row["accuracy_change"] == pytest.approx(right(after[inside]) - right(before[inside]))
    f1 = f1_score(before.loc[inside, "label"], before.loc[inside, "predicted"], average="macro")
    assert row["macro_f1_before"] == pytest.approx(f1)
    assert row["others_n"] == outside.sum() == 31
    expected = right(after[outside]) - right(before[outside])
    assert row["others_accuracy_change"] == pytest.approx(expected)
    assert frame.iloc[0]["n"] == 60
    assert frame.iloc[0]["accuracy_change"] == pytest.approx(right(after) - right(before))
    assert np.isnan(frame.iloc[0]["others_n"])
    keys = {column.heading: column.key for column in tables["bias_change"].views[0].columns}
    assert keys["accuracy before"] == "accuracy_before"
    assert keys["after"] == "accuracy_after"
    assert keys["F1 after"] == "macro_f1_after"
    assert keys["others: accuracy change"] == "others_accuracy_change"


def test_every_heading_stands_over_its_own_column(plain, retrained):
    def told(table):
        return [
            (one.heading, one.key, *filter(None, [one.upper_key])) for one in table.views[0].columns
        ]

    first, last = [("attribute", "attribute"), ("group", "group")], [("n", "n"), ("", "small")]
    assert told(plain["bias_differences"]) == [
        ("attribute", "attribute"), ("group", "first"), ("against", "second"),
        ("metric", "metric"), ("difference", "difference"),
        ("95 %", "difference_low", "difference_high"), ("ratio", "ratio"),
        ("ratio, 95 %", "ratio_low", "ratio_high"), ("n", "n_first"), ("n against", "n_second"),
        ("", "small"),
    ]  # fmt: skip
    assert told(plain["bias_classes"]) == [
        *first, ("class", "class"), ("share of class", "share_of_class"),
        ("precision", "precision"), ("precision, 95 %", "precision_low", "precision_high"),
        ("recall", "recall"), ("recall, 95 %", "recall_low", "recall_high"), ("F1", "f1"), *last,
    ]  # fmt: skip
    ends = ("accuracy_change_low", "accuracy_change_high")
    assert told(retrained[1]["bias_change"]) == [
        *first, ("accuracy before", "accuracy_before"), ("after", "accuracy_after"),
        ("accuracy change", "accuracy_change"), ("accuracy change, 95 %", *ends),
        ("macro F1 before", "macro_f1_before"), ("F1 after", "macro_f1_after"),
        ("macro F1 change", "macro_f1_change"),
        ("macro F1 change, 95 %", "macro_f1_change_low", "macro_f1_change_high"),
        ("others: accuracy change", "others_accuracy_change"),
        ("others: accuracy change, 95 %", *(f"others_{end}" for end in ends)), *last,
    ]  # fmt: skip


def test_a_group_without_pictures_has_no_change(answers, groups, retrained):
    before, tables = retrained
    wider = groups.assign(age=groups["age"].cat.add_categories("oldest"))
    made = group_tables(answers, before, wider, CLASSES, ())
    frame = next(table.frame for table in made if table.name == "bias_change")
    pd.testing.assert_frame_equal(frame, tables["bias_change"].frame)
