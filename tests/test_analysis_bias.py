import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markupsafe import escape

from analysis.__main__ import main
from analysis.groups.bias import reported, study_bias, write_bias
from analysis.groups.statistics import changes
from analysis.run.run_data import read_probabilities, read_run
from analysis.run.trials import incumbent
from analysis.statistics.estimate import NotKnownError
from tests.support.run_factory import Factory, open_test
from tune.run.directory import predictions_file
from tune.run.tables import read_predictions, write_table

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
    Factory(**{**SMALL, "configurations": 3}).write(place / "several", None)
    rows = pd.DataFrame({"image_id": table["image_id"].to_pylist()})
    rows["age"] = np.where(np.arange(len(rows)) % 20 == 0, "child", "adult")
    rows.loc[300, "age"] = ""
    rows.loc[len(rows)] = ["nobody", "adult"]
    rows.to_csv(place / "groups.csv", index=False)
    return place


def rows_of(capsys, *arguments):
    assert main(["bias", *map(str, arguments), "--format", "json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


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
    titles = [line for line in text.splitlines() if line.startswith("**")]
    assert titles == [
        "**Groups**",
        "**Differences and ratios between groups**",
        "**Every combination of two groups**",
        "**Each class by group, and the groups of each class**",
    ]


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


def retrained(run, source, trial_id):
    """The run as one that was retrained from a trial of another."""
    origin = {"run": str(source), "trial_id": trial_id}
    return replace(run, provenance={**run.provenance, "origin": origin})


def test_a_retrained_run_is_compared_with_the_very_trial_that_it_came_from(place):
    first, second = read_run(place / "first"), read_run(place / "several")
    ids = second.trials["trial_id"]
    assert incumbent(second)["trial_id"] != ids.iloc[0]
    for trial_id in ids.iloc[1:]:  # the one lists its pictures backwards, the other as ours
        found = study_bias(retrained(first, second.path, trial_id))
        own = read_probabilities(second, trial_id).set_index("image_id")
        assert found.before["predicted"].equals(own.loc[found.before.index, "predicted"])
        assert found.before.index.equals(found.answers.index)
    number = second.trials["number"].iloc[-1]
    name = second.trials["name"].iloc[-1]
    assert f"Before: {name}, trial {number} of several." in found.notes


def test_another_earlier_run_may_be_named_and_then_its_incumbent_counts(place):
    first, second = read_run(place / "first"), read_run(place / "several")
    again = retrained(first, first.path, first.trials["trial_id"].iloc[0])
    found = study_bias(again, before=second.path)
    own = read_probabilities(second, incumbent(second)["trial_id"]).set_index("image_id")
    assert found.before["predicted"].equals(own.loc[found.before.index, "predicted"])


def test_an_earlier_run_that_is_gone_is_told_and_one_that_was_named_is_refused(place, tmp_path):
    first = read_run(place / "first")
    found = study_bias(retrained(first, tmp_path / "gone", "x"))
    assert found.before is None
    assert any(
        note.startswith("The results before the retraining are not shown: ") for note in found.notes
    )
    with pytest.raises(FileNotFoundError):
        study_bias(first, before=tmp_path / "gone")


def test_only_pictures_that_both_told_are_before_and_after(place, tmp_path):
    first = read_run(place / "first")
    part = Path(shutil.copytree(place / "second", tmp_path / "part"))
    trial_id = read_run(part).trials["trial_id"].iloc[0]
    table = read_predictions(part, trial_id)
    write_table(table.slice(100, 250), predictions_file(part, trial_id))
    found = study_bias(first, before=part)
    assert found.before.index.tolist() == table["image_id"].to_pylist()[100:350]
    assert (
        "Before and after are compared on the 250 pictures that have both predictions."
        in found.notes
    )
    tables = {table.name: table.frame for table in found.tables}
    rows = tables["bias_change"].set_index("group")
    assert rows.loc["all", "n"] == 250
    # The groups themselves are still of all pictures.
    one = tables["bias_groups"]
    one = one[(one["attribute"] == "brightness") & (one["group"] != "average")]
    assert one["n"].sum() == 400


def test_runs_that_cannot_be_compared_are_refused(place, tmp_path):
    first = read_run(place / "first")
    other = Path(shutil.copytree(place / "second", tmp_path / "other"))
    trial_id = read_run(other).trials["trial_id"].iloc[0]
    path = predictions_file(other, trial_id)
    table = read_predictions(other, trial_id)
    names = pa.array([f"x{name}" for name in table["image_id"].to_pylist()])
    write_table(table.set_column(0, "image_id", names), path)
    with pytest.raises(ValueError, match="other has no val pictures in common with before"):
        study_bias(first, before=other)
    labels = pa.array([(one + 1) % 4 for one in table["label"].to_pylist()], pa.int16())
    write_table(table.set_column(2, "label", labels), path)
    with pytest.raises(ValueError, match="labels pictures in another way than before"):
        study_bias(first, before=other)
    info = replace(first.info, classes=tuple(reversed(first.info.classes)))
    with pytest.raises(ValueError, match="has the classes neutral, bored, angry, focused; these"):
        study_bias(replace(first, info=info), before=place / "second")


def test_a_trial_is_studied_by_its_id_and_its_split(place, tmp_path):
    several = Path(shutil.copytree(place / "several", tmp_path / "several"))
    run = read_run(several, place / "data")
    best = incumbent(run)["trial_id"]
    other, unopened = run.trials[run.trials["trial_id"] != best].to_dict("records")
    found = study_bias(run, trial_id=other["trial_id"])
    own = read_probabilities(run, other["trial_id"]).set_index("image_id")
    assert found.answers["predicted"].equals(own["predicted"])
    assert found.notes[0] == f"{other['name']}, trial {other['number']}; n: val pictures."
    with pytest.raises(ValueError, match="has no trial nobody; `python -m analysis table"):
        study_bias(run, trial_id="nobody")
    ids_of_test = [f"drawn/{number:05d}" for number in range(680, 740)]
    for trial_id in (other["trial_id"], best):
        open_test(several, trial_id)
    found = study_bias(run, trial_id=other["trial_id"], split="test", before=several)
    assert found.answers.index.tolist() == found.before.index.tolist() == ids_of_test
    assert found.notes[0].endswith("n: test pictures.")
    with pytest.raises(NotKnownError, match=r"no test predictions; open the .* --trial [0-9a-f]+`"):
        study_bias(run, trial_id=unopened["trial_id"], split="test")


def test_a_trial_that_was_stopped_early_is_studied_by_its_id(place):
    run = read_run(place / "several", place / "data")
    ids, best = run.trials["trial_id"], incumbent(run)["trial_id"]
    stopped = ids[ids != best].iloc[0]
    status = run.trials["status"].mask(ids == stopped, "EARLY_STOPPED")
    found = study_bias(replace(run, trials=run.trials.assign(status=status)), trial_id=stopped)
    assert found.trial["trial_id"] == stopped


@pytest.mark.usefixtures("undrawn")
def test_the_page_tells_the_accuracy_of_the_model_and_every_note(place, tmp_path):
    found = study_bias(read_run(place / "first"))
    right = (found.answers["label"] == found.answers["predicted"]).mean()
    page = write_bias(found, tmp_path / "the page").read_text("utf-8")
    assert f"<b>{100 * right:.1f} %</b><span>accuracy</span>" in page
    assert "<b>400</b><span>pictures</span>" in page
    assert "<h1>first by group</h1>" in page
    for note in found.notes:
        assert f"<p>{escape(note)}</p>" in page


def test_one_table_is_printed_or_all_and_an_unknown_one_is_refused(place, capsys):
    first = str(place / "first")
    assert main(["bias", first, "--what", "differences", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("attribute,first,second,metric,")
    assert main(["bias", first, "--what", "change"]) == 2
    error = capsys.readouterr().err
    assert "--what can be groups, differences, crossed, classes here, but got change" in error


@pytest.mark.usefixtures("undrawn")
def test_page_and_report_show_the_groups(place, capsys, tmp_path):
    assert main(["bias", str(place / "first"), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "figures" / "accuracy_by_group.svg").is_file()
    assert main(["report", str(place / "first"), "--out", str(tmp_path / "report")]) == 0
    tables = {file.stem for file in (tmp_path / "report" / "tables").glob("bias_*.csv")}
    assert tables == {f"bias_{name}" for name in ("groups", "differences", "crossed", "classes")}
    assert (tmp_path / "report" / "figures" / "accuracy_by_group.svg").is_file()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image_id,age\na,1\na,2\n", "row 1 (line 3): 'a' appears again"),
        ("id,age\na,1\n", "needs the column image_id and at least one more"),
        ("image_id,label\na,1\n", "every dataset has a column label of its own"),
        ("", "is empty; give a file with a header and rows"),
        (
            "image_id,age\ndrawn/00341,1,\n",
            "row 0 (line 2): 3 cells where the header has 2; correct the row",
        ),
        (
            "image_id,age,\na,1,\n",
            "the column name '' in its header is empty or appears twice",
        ),
        ("image_id,age,age\na,1,2\n", "name 'age' in its header is empty or appears"),
    ],
)
def test_a_bad_csv_is_one_line(place, capsys, tmp_path, text, told):
    (tmp_path / "bad.csv").write_text(text, "utf-8")
    assert main(["bias", str(place / "first"), "--groups", str(tmp_path / "bad.csv")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "--skip-bad" not in error, "an option of data_prep alone"
    assert error.count("\n") == 1


def test_without_its_dataset_a_run_has_no_groups(place, capsys, tmp_path):
    assert main(["bias", str(place / "first"), "--data", str(tmp_path / "moved")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: the dataset is no longer at {tmp_path / 'moved'} (give its")
    assert error.count("\n") == 1
    assert reported(read_run(place / "first", tmp_path / "moved")) is None


def test_an_unopened_test_split_is_refused(place, capsys):
    assert main(["bias", str(place / "first"), "--split", "test"]) == 2
    assert "open the test split with `python -m tune test" in capsys.readouterr().err
