from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import confusion_matrix

from analysis.run_data import NoTrialSucceededError, read_confusion, read_run
from tests.run_factory import INFO, SPLIT_SIZES, Factory, write_run_files
from tune import schema


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


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
    table = schema.read_predictions(run.path, trial_id)
    predicted = np.array(table["probabilities"].to_pylist()).argmax(axis=1)
    counts = read_confusion(run, trial_id)
    assert (counts == confusion_matrix(table["label"].to_pylist(), predicted)).all()
    assert np.trace(counts) / counts.sum() == run.completed["best_val_accuracy"].iloc[0]


def test_test_pictures_do_not_enter_the_confusion_matrix(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    trial_id = run.completed["trial_id"].iloc[0]
    path = run.path / schema.PREDICTIONS_DIR / f"{trial_id}.parquet"
    table = pq.read_table(path)
    test = table.set_column(1, "split", [["test"] * len(table)])
    pq.write_table(pa.concat_tables([table, test]), path)
    assert read_confusion(run, trial_id).sum() == SPLIT_SIZES["val"]
    assert read_run(run.path).trials["n"].max() == SPLIT_SIZES["val"]


def test_a_trial_without_predictions_has_no_confusion_matrix(run):
    failed = run.trials[run.trials["status"] == "FAILED"]["trial_id"].iloc[0]
    assert read_confusion(run, failed) is None


def test_a_folder_without_ledger_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run directory"):
        read_run(tmp_path)


def test_a_run_without_finished_trials_says_so(tmp_path):
    write_run_files(tmp_path, [], INFO)
    with pytest.raises(ValueError, match="no finished trial yet"):
        read_run(tmp_path)


def test_a_run_where_nothing_succeeded_gives_the_counts_and_a_reason(tmp_path):
    factory = replace(Factory(), configurations=3, early_stopping=False)
    run = factory.write(tmp_path / "run")
    table = pq.read_table(run / schema.TRIALS_FILE)
    faults = table.filter(pc.is_in(table["status"], pa.array(["DIVERGED", "FAILED"])))
    pq.write_table(faults, run / schema.TRIALS_FILE)
    with pytest.raises(NoTrialSucceededError, match=r"1 DIVERGED, 1 FAILED\); first: train_loss"):
        read_run(run)


def test_a_run_without_predictions_has_no_n(tmp_path):
    run = Factory().write(tmp_path / "run")
    for path in (run / schema.PREDICTIONS_DIR).iterdir():
        path.unlink()
    assert pd.isna(read_run(run).trials["n"]).all()
