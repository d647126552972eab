import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import confusion_matrix

from analysis.run.predictions import read_right
from analysis.run.run_data import (
    NoTrialSucceededError,
    RunData,
    read_confusion,
    read_probabilities,
    read_run,
)
from tests.support.discs import CLASSES, SPLIT_SIZES
from tests.support.run_factory import Factory, default_info, open_test
from tune.execution.in_process import InProcessExecutor
from tune.run.directory import (
    PREDICTIONS_DIR,
    PROVENANCE_FILE,
    SPEC_FILE,
    TRIALS_FILE,
    predictions_file,
)
from tune.run.tables import predictions_table, read_predictions, write_table
from tune.run.trial import Status
from tune.session.session import resume


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


def test_a_run_of_the_factory_is_one_that_the_program_goes_on_with(tmp_path, capsys):
    path = Factory().write(tmp_path / "run", tmp_path / "data")
    before = read_run(path)
    sweep = resume(path, executor=InProcessExecutor())
    assert sweep.finished
    assert capsys.readouterr().err == "", "nothing is restored or repaired"
    again = read_run(path)
    pd.testing.assert_frame_equal(again.trials, before.trials)
    pd.testing.assert_frame_equal(again.measurements, before.measurements)


def test_trials_stand_in_the_order_of_their_numbers(run):
    written = pq.read_table(run.path / TRIALS_FILE)["number"].to_pylist()
    assert written == sorted(written, reverse=True)
    assert run.trials["number"].tolist() == list(range(16))
    assert run.trials.index.tolist() == list(range(16))


def test_a_run_carries_its_name_its_spec_and_where_it_came_from(run, tmp_path):
    assert run.name == "small"
    assert run.spec == (run.path / SPEC_FILE).read_text("utf-8")
    assert "finalists: 2\n" in run.spec
    assert run.provenance == json.loads((run.path / PROVENANCE_FILE).read_text("utf-8"))
    assert run.provenance["dataset"]["name"] == "drawn"
    assert run.data is None
    bare = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)
    bare = bare.write(tmp_path / "bare run")
    (bare / SPEC_FILE).unlink()
    (bare / PROVENANCE_FILE).unlink()
    read = read_run(bare / "predictions" / "..", tmp_path / "moved")
    assert (read.name, read.spec, read.provenance) == ("bare run", "", {})
    assert read.data == tmp_path / "moved"


def test_statuses_are_told_apart_by_what_their_accuracy_says(run):
    statuses = list(Status)
    trials = run.trials.head(len(statuses)).assign(status=statuses, best_val_accuracy=0.5)
    every = replace(run, trials=trials)
    assert every.completed["status"].tolist() == ["COMPLETED"]
    assert every.comparable["status"].tolist() == ["COMPLETED", "EARLY_STOPPED"]
    assert every.excluded["status"].tolist() == [
        "DIVERGED", "INFEASIBLE", "OVER_LIMIT", "FAILED",
    ]  # fmt: skip


def test_an_answer_is_the_class_of_the_highest_probability(tmp_path):
    table = predictions_table(
        image_ids=["c", "a", "b"],
        labels=[2, 0, 1],
        probabilities=np.array(
            [[0.1, 0.2, 0.6, 0.1], [0.1, 0.5, 0.3, 0.1], [0.4, 0.4, 0.1, 0.1]], np.float32
        ),
        split="val",
        epoch=1,
        classes=CLASSES,
    )
    write_table(table, predictions_file(tmp_path, "t"))
    run = RunData(
        path=tmp_path, info=default_info(), trials=pd.DataFrame(), measurements=pd.DataFrame(),
        provenance={}, spec="",
    )  # fmt: skip
    answers = read_probabilities(run, "t")
    assert answers["image_id"].tolist() == ["c", "a", "b"]
    assert answers["label"].tolist() == [2, 0, 1]
    assert answers["predicted"].tolist() == [2, 1, 0]  # the first of equals
    assert answers["probability"].tolist() == pytest.approx([0.6, 0.5, 0.4])
    assert read_probabilities(run, "t", "test") is None
    counts = np.zeros((4, 4), int)
    counts[2, 2] = counts[0, 1] = counts[1, 0] = 1
    assert read_confusion(run, "t").tolist() == counts.tolist()
    assert read_right(run, "t").to_dict() == {"a": False, "b": False, "c": True}


def test_every_trial_knows_its_number_of_validation_pictures(run):
    assert (run.trials["n"] == SPLIT_SIZES["val"]).all()


def test_whole_numbers_stay_whole_where_some_are_missing(run):
    assert run.trials["parameters"].isna().any()
    assert run.trials["parameters"].dropna().map(type).eq(int).all()


def test_completed_and_comparable_trials_are_told_apart(run):
    assert set(run.completed["status"]) == {"COMPLETED"}
    assert set(run.comparable["status"]) == {"COMPLETED", "EARLY_STOPPED"}
    assert {"DIVERGED", "FAILED"} < set(run.trials["status"])


def test_confusion_matrix_equals_scikit_learn(run):
    trial_id = run.completed["trial_id"].iloc[0]
    table = read_predictions(run.path, trial_id)
    predicted = np.array(table["probabilities"].to_pylist()).argmax(axis=1)
    counts = read_confusion(run, trial_id)
    assert (counts == confusion_matrix(table["label"].to_pylist(), predicted)).all()
    assert np.trace(counts) / counts.sum() == run.completed["best_val_accuracy"].iloc[0]


def test_test_pictures_count_for_their_own_split_alone(tmp_path):
    run = read_run(Factory().write(tmp_path / "a run"))
    for trial_id in run.comparable["trial_id"]:
        before = read_confusion(run, trial_id)
        open_test(run.path, trial_id)
        assert (read_confusion(run, trial_id) == before).all()
        assert len(read_probabilities(run, trial_id)) == SPLIT_SIZES["val"]
        assert len(read_probabilities(run, trial_id, "test")) == SPLIT_SIZES["test"]
    assert (read_run(run.path).trials["n"] == SPLIT_SIZES["val"]).all()


def test_each_fold_has_its_own_number_of_pictures(tmp_path):
    run = Factory(configurations=4, replicates=1, faults=False, early_stopping=False)
    run = run.write(tmp_path / "run")
    trials = pq.read_table(run / TRIALS_FILE)
    ids = trials["trial_id"].to_pylist()
    trials = trials.set_column(trials.column_names.index("fold"), "fold", [[0, 1, 1, None]])
    pq.write_table(trials, run / TRIALS_FILE)
    for trial_id, count in zip(ids, (300, 200, None, 100), strict=True):
        path = run / PREDICTIONS_DIR / f"{trial_id}.parquet"
        table = pq.read_table(path)
        path.unlink() if count is None else pq.write_table(table.slice(0, count), path)
    counts = read_run(run).trials.set_index("trial_id")["n"]
    assert counts[ids].tolist() == [300, 200, 200, 100]


def test_a_trial_without_predictions_has_no_confusion_matrix(run):
    failed = run.trials[run.trials["status"] == "FAILED"]["trial_id"].iloc[0]
    assert read_confusion(run, failed) is None


def test_a_folder_without_ledger_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run directory"):
        read_run(tmp_path)


def test_a_run_without_finished_trials_says_so(tmp_path):
    run = Factory().write(tmp_path / "run")
    pq.write_table(pq.read_table(run / TRIALS_FILE).slice(0, 0), run / TRIALS_FILE)
    with pytest.raises(ValueError, match="no finished trial yet"):
        read_run(run)


def test_a_run_where_nothing_succeeded_gives_the_counts_and_a_reason(tmp_path):
    factory = replace(Factory(), configurations=3, early_stopping=False)
    run = factory.write(tmp_path / "run")
    table = pq.read_table(run / TRIALS_FILE)
    faults = table.filter(pc.is_in(table["status"], pa.array(["DIVERGED", "FAILED"])))
    pq.write_table(faults, run / TRIALS_FILE)
    with pytest.raises(NoTrialSucceededError, match=r"1 DIVERGED, 1 FAILED\); first: loss was NaN"):
        read_run(run)
    first_silent = faults.set_column(
        faults.column_names.index("reason"), "reason", [["out of memory", ""]]
    )
    pq.write_table(first_silent, run / TRIALS_FILE)  # the trial of the lower number is last
    with pytest.raises(NoTrialSucceededError, match="first: out of memory"):
        read_run(run)
    silent = faults.set_column(faults.column_names.index("reason"), "reason", [["", ""]])
    pq.write_table(silent, run / TRIALS_FILE)
    with pytest.raises(NoTrialSucceededError, match="first: no reason was written"):
        read_run(run)
    waiting = faults.set_column(
        faults.column_names.index("status"), "status", [["PENDING", "INTERRUPTED"]]
    )
    pq.write_table(waiting, run / TRIALS_FILE)
    with pytest.raises(ValueError, match="no finished trial yet"):
        read_run(run)


def test_a_run_without_predictions_has_no_n(tmp_path):
    run = Factory().write(tmp_path / "run")
    for path in (run / PREDICTIONS_DIR).iterdir():
        path.unlink()
    assert pd.isna(read_run(run).trials["n"]).all()


def test_a_run_may_lack_its_provenance_and_its_spec(tmp_path):
    small = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)
    path = small.write(tmp_path / "run")
    assert read_run(path).spec
    for name in (PROVENANCE_FILE, SPEC_FILE):
        (path / name).unlink()
    run = read_run(path)
    assert (run.provenance, run.spec) == ({}, "")
