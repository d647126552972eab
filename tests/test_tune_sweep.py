import json
import math

import pytest

from tests.sweeps import figures, play, small_spec
from tune.schema import FINISHED, Status
from tune.spec import SpecError
from tune.sweep import Sweep

WORKER = {"host": "here", "device": "cpu", "parameters": 7}
RANGES = {
    "space": {
        "blocks": {"low": 1, "high": 6},
        "dropout": {"low": 0.0, "high": 0.5},
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    }
}
NO_SCHEDULER = {"scheduler": {"name": "none"}}
TWO_OBJECTIVES = {
    **NO_SCHEDULER,
    "objective": [{"metric": "val_accuracy"}, {"metric": "device_seconds", "mode": "min"}],
}
SEARCHERS = {
    "grid": {"searcher": {"name": "grid"}},
    "random": {"searcher": {"name": "random", "samples": 9}},
    "sobol": {"searcher": {"name": "sobol", "samples": 9}},
    "tpe": {"searcher": {"name": "tpe", "samples": 14}},
    "gp": {"searcher": {"name": "gp", "samples": 12}, **NO_SCHEDULER, **RANGES},
    "cmaes": {"searcher": {"name": "cmaes", "samples": 16, "population": 4}, **RANGES},
    "nsga2": {"searcher": {"name": "nsga2", "samples": 12, "population": 3}, **TWO_OBJECTIVES},
    "two objectives": {"searcher": {"name": "tpe", "samples": 12}, **TWO_OBJECTIVES},
    "median": {
        "searcher": {"name": "tpe", "samples": 14},
        "scheduler": {"name": "median", "grace_period": 2},
    },
}


def new_sweep(spec, events=()):
    ledger = list(events)
    sweep = Sweep(spec, fingerprint="f", commit=ledger.append, events=list(events))
    sweep.begin()
    return sweep, ledger


def without_times(ledger):
    """The ledger as it reads back from disk, without times and without sittings."""
    kept = [event for event in ledger if not event["event"].startswith("sweep_")]
    return [json.loads(json.dumps({**event, "time": 0})) for event in kept]


def test_a_grid_is_trained_once_each_and_the_sweep_ends():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    play(sweep)
    assert sweep.finished
    assert len(sweep.trials) == sweep.expected == 12
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert {len(trial.measurements) for trial in sweep.trials.values()} == {9}


def test_asha_stops_trials_and_says_why():
    sweep, _ = new_sweep(small_spec())
    play(sweep)
    stopped = [t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED]
    assert 4 <= len(stopped) <= 11
    assert all(trial.last.epoch in sweep.scheduler.rungs for trial in stopped)
    assert all("did not reach" in trial.reason for trial in stopped)
    assert sweep.incumbent.status is Status.COMPLETED


def test_median_stopping_stops_trials_and_says_why():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "median", "grace_period": 3}))
    play(sweep, slots=3)
    stopped = [t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED]
    assert stopped
    assert all(trial.last.epoch >= 3 for trial in stopped)
    assert all("the mark of the median of what" in trial.reason for trial in stopped)
    assert sweep.incumbent.status is Status.COMPLETED


@pytest.mark.parametrize("searcher", SEARCHERS)
@pytest.mark.parametrize("cut", [1, 2, 5, 17, 41, 91, 100])
def test_a_sweep_read_back_from_its_ledger_goes_on_as_if_never_stopped(searcher, cut):
    spec = small_spec(**SEARCHERS[searcher], replicates=2, finalists=2)
    untouched, ledger = new_sweep(spec)
    play(untouched)
    first, kept = new_sweep(spec)
    play(first, steps=cut)
    again, whole = new_sweep(spec, json.loads(json.dumps(kept)))
    play(again)
    assert again.finished
    told_twice = [e for e in without_times(whole) if e["event"] == "trial_started"]
    assert len(told_twice) <= len(untouched.trials) + 1
    decided = ("trial_proposed", "measurement", "trial_ended", "finalists_chosen")
    assert [e for e in without_times(whole) if e["event"] in decided] == [
        e for e in without_times(ledger) if e["event"] in decided
    ]


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_any_prefix_of_a_ledger_can_be_read_and_finished(searcher):
    spec = small_spec(**SEARCHERS[searcher], replicates=2, finalists=1)
    sweep, ledger = new_sweep(spec)
    play(sweep, slots=2)
    for length in range(0, len(ledger), 5):
        again, _ = new_sweep(spec, ledger[:length])
        play(again, slots=2)
        assert again.finished
        assert {trial.status for trial in again.trials.values()} <= FINISHED


def test_a_sweep_cut_while_it_proposes_its_finalists_is_not_finished():
    spec = small_spec(replicates=3, finalists=2)
    sweep, ledger = new_sweep(spec)
    play(sweep)
    chosen = [event["event"] for event in ledger].index("finalists_chosen")
    for length in range(chosen + 1, chosen + 5):
        again, _ = new_sweep(spec, ledger[:length])
        assert not again.finished
        assert again.expected == len(sweep.trials)
        play(again)
        assert list(again.trials) == list(sweep.trials)
        assert again.finished


def test_finalists_get_their_other_replicates_trained_whole():
    spec = small_spec(replicates=3, finalists=2)
    sweep, _ = new_sweep(spec)
    play(sweep, slots=2)
    replicates = [trial for trial in sweep.trials.values() if trial.phase == "finalist"]
    assert len({trial.configuration_id for trial in replicates}) == 2
    assert sorted(trial.config["seed"] for trial in replicates) == [4, 4, 5, 5]
    assert {trial.status for trial in replicates} == {Status.COMPLETED}
    assert sweep.expected == len(sweep.trials)


def test_without_a_scheduler_every_configuration_is_a_finalist():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, replicates=2))
    assert sweep.expected == 24
    play(sweep)
    assert len(sweep.trials) == 24


def test_a_trial_whose_loss_is_not_a_number_has_diverged():
    sweep, ledger = new_sweep(small_spec())
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    assert sweep.report(trial.id, 1, figures(trial.id, 1, train_loss=math.nan), WORKER)
    assert trial.status is Status.DIVERGED
    json.dumps(ledger, allow_nan=False)
    again, _ = new_sweep(small_spec(), ledger)
    assert again.trials[trial.id].last.diverged


def test_a_failed_trial_keeps_its_error_and_the_sweep_goes_on():
    sweep, _ = new_sweep(small_spec(searcher={"name": "tpe", "samples": 4}))
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    sweep.fail(trial.id, "ValueError: no")
    assert (trial.status, trial.reason) == (Status.FAILED, "ValueError: no")
    play(sweep)
    assert sweep.finished
    assert len(sweep.trials) == 4


@pytest.mark.parametrize("trouble", ["attempt_failed", "out_of_memory"])
def test_a_result_stands_though_its_files_cannot_be_made_again(trouble):
    sweep, ledger = new_sweep(small_spec())
    play(sweep)
    stopped = next(t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED)
    reason = stopped.reason
    sweep.train_again(stopped.id)
    tries = 0
    while (trial := sweep.next_trial()) is not None:
        assert trial.id == stopped.id
        getattr(sweep, trouble)(trial.id, "no")
        tries += 1
    assert tries > 1
    assert sweep.finished
    assert (stopped.status, stopped.reason) == (Status.EARLY_STOPPED, reason)
    again, _ = new_sweep(small_spec(), ledger)
    assert again.finished


def test_an_epoch_trained_again_after_a_retry_is_noted_once():
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    for epoch in (1, 2):
        sweep.report(trial.id, epoch, figures(trial.id, epoch), WORKER)
    sweep.attempt_failed(trial.id, "RuntimeError: worker died")
    before = len(ledger)
    assert not sweep.report(trial.id, 2, figures(trial.id, 2), WORKER)
    assert len(ledger) == before
    assert [one.epoch for one in trial.measurements] == [1, 2]


def test_a_stopped_sweep_interrupts_its_trials_and_says_why():
    sweep, ledger = new_sweep(small_spec())
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    sweep.stop("stopped by SIGINT")
    assert sweep.next_trial() is None
    assert sweep.report(trial.id, 1, figures(trial.id, 1), WORKER)
    sweep.close()
    assert (trial.status, trial.reason) == (Status.INTERRUPTED, "stopped by SIGINT")
    again, _ = new_sweep(small_spec(), ledger)
    assert again.next_trial().id == trial.id


def test_no_trial_is_proposed_twice_and_a_used_up_space_ends_the_search():
    sweep, _ = new_sweep(small_spec(searcher={"name": "random", "samples": 50}))
    play(sweep)
    assert sweep.finished
    assert len(sweep.trials) == 12
    assert sweep.expected == 12


def test_the_objective_is_the_best_epoch_or_the_last():
    at_last = small_spec(objective={"at": "last"}, scheduler={"name": "none"})
    for spec, expected in ((small_spec(scheduler={"name": "none"}), 0.6), (at_last, 0.4)):
        sweep, _ = new_sweep(spec)
        trial = sweep.next_trial()
        sweep.start(trial.id, 1.0)
        for epoch, accuracy in ((1, 0.6), (2, 0.4)):
            values = figures(trial.id, epoch, val_accuracy=accuracy)
            sweep.report(trial.id, epoch, values, WORKER)
        assert sweep.objective(trial) == expected


def test_a_smaller_loss_wins_where_the_objective_is_a_loss():
    sweep, _ = new_sweep(small_spec(objective={"metric": "val_loss", "mode": "min"}))
    play(sweep)
    completed = [t for t in sweep.trials.values() if t.status is Status.COMPLETED]
    assert sweep.incumbent is min(completed, key=lambda trial: sweep.objective(trial))


def test_a_spent_budget_is_told():
    spec = small_spec(budget={"device_hours": 0.001})
    sweep, _ = new_sweep(spec)
    assert sweep.budget_spent() is None
    play(sweep, steps=9)
    assert sweep.budget_spent() == "its budget of 0.001 device-hours is spent"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"searcher": {"name": "gird"}}, "searcher must be one of grid, random, sobol, tpe"),
        ({"scheduler": {"name": "hyper"}}, "scheduler must be one of none, asha"),
        ({"searcher": {"name": "tpe"}}, "add samples: N"),
        ({"searcher": {"name": "grid", "samples": 3}}, "leave samples out"),
        ({"space": {"learning_rate": {"low": 0.1, "high": 0.2}}}, "continuous range"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        Sweep(small_spec(**changes), fingerprint="f")
