from dataclasses import replace

import pytest

from analysis.comparison import accuracy_at_common_epoch, common_epoch, ranked
from analysis.run_data import read_run
from tests.run_factory import INFO, RUNGS, Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


def test_trials_are_compared_at_the_last_epoch_that_all_reached(run):
    assert common_epoch(run) == RUNGS[0]


def test_no_later_epoch_enters_the_comparison(run):
    compared = accuracy_at_common_epoch(run).set_index("trial_id")["accuracy_at_epoch"]
    for trial_id, accuracy in compared.items():
        curve = run.measurements[run.measurements["trial_id"] == trial_id]
        assert accuracy == curve[curve["epoch"] <= RUNGS[0]]["val_accuracy"].max()
    assert set(compared.index) == set(run.comparable["trial_id"])


def test_objective_at_last_compares_that_very_epoch(run):
    last = replace(run, info=replace(INFO, objective={**INFO.objective, "at": "last"}))
    compared = accuracy_at_common_epoch(last).set_index("trial_id")["accuracy_at_epoch"]
    at_epoch = run.measurements[run.measurements["epoch"] == RUNGS[0]]
    expected = at_epoch.set_index("trial_id")["val_accuracy"]
    assert (compared == expected[compared.index]).all()


def test_a_loss_as_objective_picks_the_epoch_with_the_smallest(run):
    objective = {"metric": "val_loss", "mode": "min", "at": "best"}
    compared = accuracy_at_common_epoch(replace(run, info=replace(INFO, objective=objective)))
    row = compared.iloc[0]
    curve = run.measurements[run.measurements["trial_id"] == row["trial_id"]].head(RUNGS[0])
    assert row["accuracy_at_epoch"] == curve.loc[curve["val_loss"].idxmin(), "val_accuracy"]


def test_completed_trials_rank_before_early_stopped_ones_and_faults_last(run):
    order = ranked(run)
    groups = order["status"].drop_duplicates().tolist()
    assert groups[:2] == ["COMPLETED", "EARLY_STOPPED"]
    completed = order[order["status"] == "COMPLETED"]["best_val_accuracy"]
    assert completed.is_monotonic_decreasing


def test_equal_objectives_rank_by_number(run):
    ties = replace(run, trials=run.trials.assign(best_val_accuracy=0.5).sample(frac=1))
    completed = ranked(ties).query("status == 'COMPLETED'")["number"]
    assert completed.is_monotonic_increasing
