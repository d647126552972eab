from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.run.run_data import RunData, read_run
from analysis.run.trials import (
    accuracy_at_common_epoch,
    common_epoch,
    ended_by_patience,
    fairly_trained,
    incumbent,
    patience_words,
    ranked,
    selected_finalists,
)
from tests.support.run_factory import RUNGS, Factory, default_info
from tune.run.trial import METRICS


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
    last = replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))
    compared = accuracy_at_common_epoch(last).set_index("trial_id")["accuracy_at_epoch"]
    at_epoch = run.measurements[run.measurements["epoch"] == RUNGS[0]]
    expected = at_epoch.set_index("trial_id")["val_accuracy"]
    assert (compared == expected[compared.index]).all()


def test_a_loss_as_objective_picks_the_epoch_with_the_smallest(run):
    objective = {"metric": "val_loss", "mode": "min", "at": "best"}
    compared = accuracy_at_common_epoch(replace(run, info=replace(run.info, objective=objective)))
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


def tiny(**columns):
    """A run of a few trials of which only what is given is known."""
    count = len(next(iter(columns.values())))
    facts = {
        "trial_id": [f"t{number}" for number in range(count)],
        "configuration_id": [f"c{number}" for number in range(count)],
        "number": range(count),
        "phase": "search",
        "status": "COMPLETED",
        "reason": "",
        "epochs": 4,
        "epochs_trained": 4,
        **{f"{at}_{name}": 0.5 for at in ("best", "last") for name in METRICS},
    }
    nothing = pd.DataFrame(columns=["trial_id", "epoch", "val_accuracy", "val_loss"])
    return RunData(
        path=Path("nowhere"),
        info=default_info(),
        trials=pd.DataFrame({**facts, **columns}),
        measurements=nothing,
        provenance={},
        spec="",
    )


def with_objective(run, **objective):
    return replace(run, info=replace(run.info, objective={**run.info.objective, **objective}))


def test_a_loss_ranks_the_smallest_first_and_the_unknown_last():
    run = tiny(best_val_loss=[0.4, None, 0.2, 0.3], best_val_accuracy=[0.9, 0.8, 0.1, 0.2])
    run = with_objective(run, metric="val_loss", mode="min")
    assert ranked(run)["trial_id"].tolist() == ["t2", "t3", "t0", "t1"]
    assert incumbent(run)["trial_id"] == "t2"


def test_the_objective_at_last_ranks_by_the_last_epoch():
    run = tiny(best_val_accuracy=[0.9, 0.8], last_val_accuracy=[0.5, 0.6])
    assert incumbent(run)["trial_id"] == "t0"
    assert incumbent(with_objective(run, at="last"))["trial_id"] == "t1"


def test_a_completed_trial_ranks_before_a_better_one_that_was_stopped():
    status = ["FAILED", "EARLY_STOPPED", "COMPLETED", "DIVERGED", "EARLY_STOPPED"]
    run = tiny(status=status, best_val_accuracy=[0.9, 0.5, 0.1, None, 0.6])
    assert ranked(run)["trial_id"].tolist() == ["t2", "t4", "t1", "t0", "t3"]


def test_where_none_completed_the_incumbent_is_the_best_of_all_and_the_first_of_equals():
    status = ["EARLY_STOPPED"] * 4
    run = tiny(status=status, best_val_accuracy=[0.5, 0.7, 0.7, None])
    assert incumbent(run)["trial_id"] == "t1"
    loss = tiny(status=status, best_val_loss=[0.5, 0.4, 0.4, None])
    assert incumbent(with_objective(loss, metric="val_loss", mode="min"))["trial_id"] == "t1"


def test_the_first_of_equally_good_epochs_is_compared():
    curve = pd.DataFrame(
        {
            "trial_id": ["t0", "t0", "t0", "t0", "t1"],
            "epoch": [3, 2, 1, 4, 3],
            "val_loss": [0.2, 0.2, 0.3, 0.1, 0.4],
            "val_accuracy": [0.7, 0.6, 0.5, 0.9, 0.1],
        }
    )
    run = replace(tiny(epochs_trained=[4, 3]), measurements=curve)
    loss = with_objective(run, metric="val_loss", mode="min")
    assert accuracy_at_common_epoch(loss)["accuracy_at_epoch"].tolist() == [0.6, 0.1]
    assert accuracy_at_common_epoch(run)["accuracy_at_epoch"].tolist() == [0.7, 0.1]
    last = with_objective(run, at="last")
    assert accuracy_at_common_epoch(last)["accuracy_at_epoch"].tolist() == [0.7, 0.1]


def test_broken_trials_do_not_shorten_the_comparison():
    run = tiny(epochs_trained=[4, 3, 1, 0], status=["COMPLETED", "EARLY_STOPPED", "FAILED", "x"])
    reached = [("t0", 4), ("t1", 3), ("t2", 1)]
    rows = [(trial, epoch, 0.5) for trial, last in reached for epoch in range(1, last + 1)]
    measured = pd.DataFrame(rows, columns=["trial_id", "epoch", "val_accuracy"])
    assert common_epoch(replace(run, measurements=measured)) == 3


def patient(*, at="best"):
    """Two trials of ten epochs that lost their patience, and two others."""
    ended = "val_accuracy was not better than at epoch 2 for 2 epochs"
    known = {"epochs_trained": [4, 7, 10, 5], "epochs": 10, "reason": [ended, ended, "", "cut"]}
    run = tiny(**known, status=["COMPLETED", "COMPLETED", "COMPLETED", "EARLY_STOPPED"])
    rows = [
        (trial, epoch, accuracy)
        for trial, best, last in [("t0", 2, 4), ("t1", 5, 7), ("t2", 10, 10), ("t3", 5, 5)]
        for epoch in range(1, last + 1)
        for accuracy in [0.9 - abs(best - epoch) / 100]
    ]
    measured = pd.DataFrame(rows, columns=["trial_id", "epoch", "val_accuracy"])
    return with_objective(replace(run, measurements=measured), at=at)


def test_a_training_without_patience_left_counts_as_trained_for_all_its_epochs():
    run = patient()
    assert ended_by_patience(run) == ["t0", "t1"]
    assert common_epoch(run) == 5  # where the last trial was stopped
    assert accuracy_at_common_epoch(run)["accuracy_at_epoch"].tolist() == [0.9, 0.9, 0.85, 0.9]
    assert patience_words(run) == " or, for 1, ran out of patience before"
    last = accuracy_at_common_epoch(patient(at="last"))
    assert last["accuracy_at_epoch"].tolist() == [0.88, 0.9, 0.85, 0.9]
    complete = replace(run, trials=run.trials.iloc[:3])
    assert common_epoch(complete) == 10
    assert accuracy_at_common_epoch(complete)["accuracy_at_epoch"].tolist() == [0.9, 0.9, 0.9]
    assert patience_words(complete) == " or, for 2, ran out of patience before"


def test_a_trial_of_another_tool_is_known_as_far_as_it_was_measured():
    run = replace(patient(), provenance={"imported": {"tool": "csv"}})
    assert (ended_by_patience(run), common_epoch(run), patience_words(run)) == ([], 4, "")


def test_finalists_are_picked_where_another_configuration_was_there_to_pick():
    phases = ["search", "search", "finalist"]
    accuracy = [0.7, 0.6, 0.65]
    picked = tiny(configuration_id=["a", "b", "a"], phase=phases, best_val_accuracy=accuracy)
    assert selected_finalists(picked)
    fair = fairly_trained(picked)
    assert fair["trial_id"].tolist() == ["t2"]
    assert fair["accuracy"].tolist() == [0.65]
    alone = tiny(configuration_id=["a", "a", "a"], phase=phases, best_val_accuracy=accuracy)
    assert not selected_finalists(alone)
    assert fairly_trained(alone)["trial_id"].tolist() == ["t0", "t1", "t2"]
    waiting = tiny(
        configuration_id=["a", "b", "c", "a", "b"],
        phase=["search"] * 3 + ["finalist"] * 2,
        status=["COMPLETED"] * 4 + ["RUNNING"],
        best_val_accuracy=[0.7, 0.8, 0.5, 0.65, None],
    )
    assert fairly_trained(waiting)["trial_id"].tolist() == ["t0", "t1", "t2", "t3"]
    broke = tiny(
        configuration_id=["a", "b", "a"],
        phase=phases,
        status=["COMPLETED", "FAILED", "COMPLETED"],
        best_val_accuracy=accuracy,
    )
    assert not selected_finalists(broke)
    assert not selected_finalists(tiny(best_val_accuracy=accuracy))


def test_a_fair_accuracy_is_that_of_the_objectives_epoch():
    run = tiny(best_val_accuracy=[0.7], last_val_accuracy=[0.6])
    assert fairly_trained(run)["accuracy"].tolist() == [0.7]
    assert fairly_trained(with_objective(run, at="last"))["accuracy"].tolist() == [0.6]
