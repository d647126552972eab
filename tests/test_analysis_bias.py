import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.__main__ import main
from analysis.run_data import read_probabilities, read_run
from analysis.statistics.groups import COMPARED, METRICS, changes, compared, confusion
from tests.run_factory import Factory

SMALL = {"configurations": 1, "replicates": 1, "faults": False, "early_stopping": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run, one with other answers to the same pictures, their dataset with votes, and a CSV."""
    place = tmp_path_factory.mktemp("bias")
    data = place / "data"
    Factory(**SMALL).write(place / "first", data)
    table = pq.read_table(data / "images.parquet")
    votes = np.arange(len(table)) % 6
    for name, counts in (("votes_anger", 4 + votes), ("votes_neutral", 6 - votes)):
        table = table.append_column(name, pa.array(counts))
    pq.write_table(table, data / "images.parquet")
    Factory(**SMALL, learning_rate=0.01).write(place / "second")
    rows = pd.DataFrame({"image_id": table["image_id"].to_pylist()})
    rows["age"] = np.where(np.arange(len(rows)) % 20 == 0, "child", "adult")
    rows.loc[300, "age"] = ""
    rows.loc[len(rows)] = ["nobody", "adult"]
    rows.to_csv(place / "groups.csv", index=False)
    return place


def rows_of(capsys, *arguments):
    assert main(["bias", *map(str, arguments), "--format", "json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


def test_bootstrapped_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    answers = pd.DataFrame(rng.integers(0, 3, (50, 2)), columns=["label", "predicted"])
    ours = compared(confusion(answers, 4)[None])  # no picture of the fourth class
    for name in COMPARED:
        assert ours[name][0] == pytest.approx(METRICS[name](answers["label"], answers["predicted"]))


def test_groups_are_those_of_the_csv(place, capsys):
    rows = rows_of(capsys, place / "first", "--groups", place / "groups.csv")
    run = read_run(place / "first")
    answers = read_probabilities(run, run.trials["trial_id"].iloc[0]).set_index("image_id")
    ages = pd.read_csv(place / "groups.csv").set_index("image_id")["age"]
    child = answers[ages.reindex(answers.index) == "child"]
    found = rows.set_index(["attribute", "group"]).loc[("age", "child")]
    assert found["n"] == len(child) < 30
    assert found["small"] == "small"
    assert found["accuracy"] == pytest.approx((child["label"] == child["predicted"]).mean())
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
    both = rows[(rows["attribute"] == "age") & (rows["group"] != "average")]
    average = rows.set_index(["attribute", "group"]).loc[("age", "average")]
    assert average["macro_f1"] == pytest.approx(both["macro_f1"].mean())


def test_some_groups_need_no_annotation(place, capsys):
    rows = rows_of(capsys, place / "first")
    assert set(rows["attribute"]) == {"brightness", "contrast", "tagger agreement"}
    bright = rows[(rows["attribute"] == "brightness") & (rows["group"] != "average")]
    assert bright["n"].between(132, 135).all()
    assert list(bright["group"]) == ["dark", "medium", "bright"]
    agreement = rows[rows["attribute"] == "tagger agreement"]
    assert list(agreement["group"]) == ["low", "medium", "high", "average"]


def test_what_does_not_fit_is_told(place, capsys):
    assert main(["bias", str(place / "first"), "--groups", str(place / "groups.csv")]) == 0
    text = capsys.readouterr().out
    assert "1 ids of no picture, 0 judged pictures that it does not name, empty cells: 1 in" in text
    assert "Every two groups crossed" in text


def test_before_and_after_are_paired_and_tell_what_the_others_paid(place, capsys):
    told = [place / "second", "--groups", place / "groups.csv", "--before", place / "first"]
    rows = rows_of(capsys, *told, "--what", "change").set_index(["attribute", "group"])
    child, adult = rows.loc[("age", "child")], rows.loc[("age", "adult")]
    assert child["others_accuracy_change"] == pytest.approx(adult["accuracy_change"])
    change = child["accuracy_after"] - child["accuracy_before"]
    assert child["accuracy_change"] == pytest.approx(change)
    assert child["accuracy_change_low"] <= change <= child["accuracy_change_high"]


def test_a_run_compared_with_itself_has_not_changed():
    rng = np.random.default_rng(0)
    answers = pd.DataFrame(rng.integers(0, 3, (50, 2)), columns=["label", "predicted"])
    found = changes(answers, answers, 3)
    assert found["accuracy_change_low"] == found["accuracy_change_high"] == 0


def test_a_retrained_run_knows_what_it_was_before(place, capsys):
    file = place / "second" / "provenance.json"
    text = file.read_text("utf-8")
    trial = read_run(place / "first").trials["trial_id"].iloc[0]
    origin = {"run": str(place / "first"), "trial_id": trial}
    file.write_text(json.dumps({**json.loads(text), "origin": origin}), "utf-8")
    told = [place / "second", "--groups", place / "groups.csv", "--what", "groups_before"]
    before = rows_of(capsys, *told)
    file.write_text(text, "utf-8")
    assert set(before["attribute"]) >= {"age"}


def test_page_and_report_show_the_groups(place, capsys, tmp_path):
    assert main(["bias", str(place / "first"), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "figures" / "accuracy_by_group.svg").is_file()
    assert main(["report", str(place / "first"), "--out", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "tables" / "bias_groups.csv").is_file()
    assert (tmp_path / "report" / "figures" / "accuracy_by_group.svg").is_file()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image_id,age\na,1\na,2\n", "row 1 (line 3): 'a' stands here again"),
        ("id,age\na,1\n", "give image_id and at least one more"),
        ("image_id,label\na,1\n", "column label has a name of ours"),
        ("", "is no CSV file"),
        ("image_id,age\ndrawn/00341,1,\n", "C error: Expected 2 fields in line 2, saw 3"),
        ("image_id,age,\na,1,\n", "its header names a column '', which is empty or stands twice"),
        ("image_id,age,age\na,1,2\n", "its header names a column 'age', which is empty or stands"),
    ],
)
def test_a_bad_csv_is_one_line(place, capsys, tmp_path, text, told):
    (tmp_path / "bad.csv").write_text(text, "utf-8")
    assert main(["bias", str(place / "first"), "--groups", str(tmp_path / "bad.csv")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_without_its_dataset_a_run_has_no_groups(place, capsys, tmp_path):
    assert main(["bias", str(place / "first"), "--data", str(tmp_path / "moved")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: the dataset is no longer at {tmp_path / 'moved'} (--data says")
    assert error.count("\n") == 1


def test_an_unopened_test_split_is_refused(place, capsys):
    assert main(["bias", str(place / "first"), "--split", "test"]) == 2
    assert "open the test split with `python -m tune test" in capsys.readouterr().err
