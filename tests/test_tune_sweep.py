"""What a sweep decides, and what follows from its ledger."""

import json
import math
from functools import cache

import pytest

from tests.support.ledgers import events_of, keep_in
from tests.support.sweeps import (
    LOSS,
    ONE_EPOCH,
    TWO_EPOCHS,
    WORKER,
    Clock,
    figures,
    new_sweep,
    play,
    small_spec,
    train,
)
from tune.run.events import AttemptLost, TrialEnded, TrialProposed
from tune.run.trial import FINISHED, Status
from tune.sweep.failures import ALIKE
from tune.sweep.searchers.sampled import SampledSearcher
from tune.sweep.spec import SpecError
from tune.sweep.sweep import Sweep

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
    "bohb": {"searcher": {"name": "bohb", "samples": 20}, **RANGES},
    "mobster": {"searcher": {"name": "mobster", "samples": 12}, **RANGES},
    "gp": {"searcher": {"name": "gp", "samples": 12}, **NO_SCHEDULER, **RANGES},
    "cmaes": {"searcher": {"name": "cmaes", "samples": 16, "population": 4}, **RANGES},
    "nsga2": {"searcher": {"name": "nsga2", "samples": 12, "population": 3}, **TWO_OBJECTIVES},
    "two objectives": {"searcher": {"name": "tpe", "samples": 12}, **TWO_OBJECTIVES},
    "median": {
        "searcher": {"name": "tpe", "samples": 14},
        "scheduler": {"name": "median", "grace_period": 2},
    },
    "promotion": {
        "searcher": {"name": "tpe", "samples": 14},
        "scheduler": {"name": "promotion", "reduction_factor": 2},
    },
    "hyperband": {
        "searcher": {"name": "random", "samples": 14},
        "scheduler": {"name": "hyperband", "reduction_factor": 2},
        **RANGES,
    },
}


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


PATIENT = {"fixed": {**small_spec().fixed, "patience": 2}, **NO_SCHEDULER}


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ([0.3, 0.5, 0.5, 0.4], 2),  # An equal value is not better.
        ([0.3, 0.4, 0.2, 0.5, 0.3, 0.4], 4),  # A better one begins the count again.
        ([math.nan, 0.5, 0.4, 0.4], None),
    ],
)
def test_a_trial_that_does_not_become_better_for_its_patience_is_complete(accuracies, best):
    sweep, ledger = new_sweep(small_spec(**PATIENT))
    trial = train(sweep, *accuracies)
    if best is None:
        assert trial.status is Status.DIVERGED
        return
    assert len(trial.measurements) == best + 2
    assert trial.status is Status.COMPLETED
    assert trial.reason == f"val_accuracy was not better than at epoch {best} for 2 epochs"
    again = Sweep(sweep.spec, fingerprint="f", events=events_of(ledger))
    assert again.trials[trial.id].status is Status.COMPLETED
    assert again.incumbent.id == trial.id


def test_patience_looks_at_the_first_objective_in_its_direction():
    sweep, _ = new_sweep(small_spec(**PATIENT, **LOSS))
    worse = train(sweep, 0.6, 0.5, 0.4)  # The loss is 1 minus these.
    assert worse.reason == "val_loss was not better than at epoch 1 for 2 epochs"
    better = train(sweep, 0.2, 0.3, 0.4, 0.5)
    assert better.status is Status.RUNNING


def test_a_trial_without_patience_trains_to_its_last_epoch():
    sweep, _ = new_sweep(small_spec(**NO_SCHEDULER))
    assert train(sweep, *[0.5] * 8).status is Status.RUNNING


def test_median_stopping_stops_trials_and_says_why():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "median", "grace_period": 3}))
    play(sweep, slots=3)
    stopped = [t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED]
    assert stopped
    assert all(trial.last.epoch >= 3 for trial in stopped)
    assert all("the median of the averages" in trial.reason for trial in stopped)
    assert sweep.incumbent.status is Status.COMPLETED


def test_hyperband_stops_trials_at_the_rungs_of_their_brackets_and_says_why():
    samples = {"searcher": {"name": "random", "samples": 60}, **RANGES}
    sweep, _ = new_sweep(small_spec(scheduler="hyperband", **samples))
    play(sweep, slots=3)
    stopped = [t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED]
    assert len(stopped) > 10
    hyperband = sweep.scheduler
    for trial in stopped:
        assert trial.last.epoch in hyperband.rungs[hyperband.bracket(trial.id) :]
        assert "of the" in trial.reason
        assert "did not reach" in trial.reason
    whole = [t for t in sweep.trials.values() if hyperband.bracket(t.id) == 2]
    assert {trial.status for trial in whole} == {Status.COMPLETED}


@cache
def untouched(searcher):
    """The spec of a sweep, and its ledger if it is played without a stop."""
    spec = small_spec(**SEARCHERS[searcher], replicates=2, finalists=2)
    sweep, ledger = new_sweep(spec)
    play(sweep)
    return spec, ledger


# The Gaussian process of `gp` takes most of the time, and what it reads is read like the others.
@pytest.mark.parametrize(
    ("searcher", "cut"),
    [(s, cut) for s in SEARCHERS for cut in [1, 5, 17, 41, 100] if s != "gp" or cut == 41],
)
def test_a_sweep_read_back_from_its_ledger_goes_on_as_if_never_stopped(searcher, cut):
    spec, ledger = untouched(searcher)
    first, kept = new_sweep(spec)
    play(first, steps=cut)
    again, whole = new_sweep(spec, json.loads(json.dumps(kept)))
    play(again)
    assert again.finished
    starts = [
        sum(event["event"] == "trial_started" for event in events) for events in (whole, ledger)
    ]
    assert starts[0] <= starts[1] + 1
    decided = (
        *("trial_proposed", "measurement", "trial_taken_up", "trial_ended"), "finalists_chosen",
    )  # fmt: skip
    assert [e for e in without_times(whole) if e["event"] in decided] == [
        e for e in without_times(ledger) if e["event"] in decided
    ]


@pytest.mark.parametrize("searcher", sorted(SEARCHERS.keys() - {"gp"}))
def test_any_prefix_of_a_ledger_can_be_read_and_finished(searcher):
    spec = small_spec(**SEARCHERS[searcher], replicates=2, finalists=1)
    sweep, ledger = new_sweep(spec)
    play(sweep, slots=2)
    for length in range(0, len(ledger), 17):
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


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tune.sweep.clock.time", clock)
    return clock


def test_a_budget_of_hours_is_spent_after_so_many_hours_of_the_clock(clock):
    sweep, _ = new_sweep(small_spec(budget={"hours": 0.5}))
    trial = sweep.next_trial()
    clock.now += 1799.0
    sweep.start(trial.id, 64.0)
    sweep.report(trial.id, 1, figures(trial.id, 1, seconds=1e6), WORKER)
    assert sweep.budget_spent() is None
    clock.now += 1.0
    sweep.lose_node("n7")
    assert sweep.budget_spent() == "its budget of 0.5 hours is spent"


def test_a_budget_of_device_hours_is_spent_by_seconds_times_devices(clock):
    sweep, _ = new_sweep(small_spec(budget={"device_hours": 0.5}))
    trial = sweep.next_trial()
    sweep.start(trial.id, 4.0)
    clock.now += 1e6
    sweep.report(trial.id, 1, figures(trial.id, 1, seconds=449.0), WORKER)
    assert sweep.device_seconds == 4 * 449.0
    assert sweep.budget_spent() is None
    sweep.report(trial.id, 2, figures(trial.id, 2, seconds=1.0), WORKER)
    assert sweep.budget_spent() == "its budget of 0.5 device-hours is spent"


def test_the_time_between_two_driver_sessions_does_not_count(clock):
    sweep, ledger = new_sweep(small_spec())
    trial = sweep.next_trial()
    clock.now += 100.0
    sweep.start(trial.id, 1.0)
    clock.now += 8000.0
    again, _ = new_sweep(small_spec(), ledger)
    assert again.seconds == 100.0
    clock.now += 50.0
    again.start(trial.id, 1.0)
    assert again.seconds == 150.0


@pytest.mark.parametrize("objective", [{}, LOSS])
def test_finalists_are_the_best_and_of_equal_trials_the_earlier_ones(objective):
    # One epoch has no rung, so that every trial is trained whole.
    spec = small_spec(**ONE_EPOCH, **objective, replicates=3, finalists=3)
    sweep, ledger = new_sweep(spec)
    accuracies = [0.1, 0.5, 0.7, 0.5, 0.7, 0.2, 0.5, 0.3, 0.3, 0.1, 0.2, 0.4]
    trials = [train(sweep, accuracy) for accuracy in accuracies]
    assert sweep.incumbent is trials[2]
    replicate = sweep.next_trial()
    chosen = next(event["trials"] for event in ledger if event["event"] == "finalists_chosen")
    assert chosen == [trials[2].id, trials[4].id, trials[1].id]
    further = [replicate, *(sweep.next_trial() for _ in range(5))]
    assert [(one.configuration_id, one.replicate, one.config["seed"]) for one in further] == [
        (trials[number].configuration_id, replicate, 3 + replicate)
        for replicate in (1, 2)
        for number in (2, 4, 1)
    ]
    assert sweep.next_trial() is None
    assert [one.number for one in further] == list(range(12, 18))


def test_a_trial_that_was_trained_whole_beats_a_better_one_that_was_stopped():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, **TWO_EPOCHS))
    better = train(sweep, 0.9)
    worse, whole = train(sweep, 0.3), train(sweep, 0.4, 0.1)
    assert sweep.incumbent is whole
    sweep.stop_trial(better.id, "by hand")
    sweep.report(better.id, 2, figures(better.id, 2, val_accuracy=0.9), WORKER)
    assert better.status is Status.COMPLETED, "it was at its last epoch anyway"
    assert sweep.incumbent is better
    assert worse.status is Status.RUNNING


def test_before_any_trial_is_whole_the_best_of_all_is_the_incumbent():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    assert sweep.incumbent is None
    best = [train(sweep, 0.3), train(sweep, 0.2, 0.5), train(sweep, 0.5)][1]
    assert sweep.incumbent is best


def test_best_trials_and_all_replicates_of_the_finalists_are_worth_keeping():
    spec = small_spec(**ONE_EPOCH, replicates=2, finalists=1)
    sweep, _ = new_sweep(spec)
    trials = [train(sweep, 0.1 * number) for number in (1, 4, 3, 5, 2, 0, 0, 0, 0, 0, 0, 0)]
    bad_replicate = train(sweep, 0.05)
    assert sweep.finished
    assert sweep.worth_keeping(3) == {bad_replicate.id, *(trials[one].id for one in (1, 2, 3))}


def test_a_trial_fails_after_as_many_retries_as_the_spec_allows():
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}, retries=2))
    first, second = sweep.next_trial(), sweep.next_trial()
    for trial in (first, second):
        sweep.start(trial.id, 1.0)
    for attempt in (1, 2):
        sweep.attempt_failed(first.id, f"broke {attempt}")
        assert first.status is Status.PENDING
        assert sweep.next_trial() is first, "it comes before trials that have not begun"
        sweep.start(first.id, 1.0)
    again, _ = new_sweep(small_spec(scheduler={"name": "none"}, retries=2), ledger)
    sweep.attempt_failed(first.id, "broke 3")
    assert (first.status, first.reason) == (Status.FAILED, "broke 3")
    assert second.status is Status.RUNNING
    for attempt in (4, 5):
        again.attempt_failed(first.id, f"a resume counts anew {attempt}")
        assert again.trials[first.id].status is Status.PENDING


def test_the_loss_of_a_node_is_no_failure_of_its_trials():
    spec = small_spec(scheduler={"name": "none"}, retries=0)
    sweep, ledger = new_sweep(spec)
    trial = train(sweep, 0.2, 0.3)
    for times in (1, 2, 3):
        sweep.lose_node(f"node {times}")
        sweep.lose_attempt(trial.id, f"node {times}")
        assert (trial.status, trial.nodes_lost) == (Status.PENDING, times)
        assert sweep.next_trial() is trial
        sweep.start(trial.id, 1.0)
    assert len(trial.measurements) == 2
    again, _ = new_sweep(spec, ledger)
    assert again.lost_nodes == ["node 1", "node 2", "node 3"]
    assert again.trials[trial.id].nodes_lost == 3
    sweep.attempt_failed(trial.id, "broke")
    assert trial.status is Status.FAILED


def test_a_trial_that_does_not_fit_into_memory_is_tried_once_more_alone():
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}, retries=0))
    bundle = sweep.next_bundle(2)
    assert not bundle.exclusive
    sweep.start(bundle.key, 1.0)
    sweep.out_of_memory(bundle.key, "3 GiB too much")
    once_more = sweep.next_bundle(2)
    assert (once_more.key, once_more.exclusive) == (bundle.key, True)
    assert not sweep.next_bundle(2).exclusive
    sweep.out_of_memory(bundle.key, "still 2 GiB too much")
    trial = sweep.trials[bundle.key]
    assert (trial.status, trial.reason) == (Status.INFEASIBLE, "still 2 GiB too much")
    again, _ = new_sweep(small_spec(scheduler={"name": "none"}), ledger)
    assert again.trials[bundle.key].status is Status.INFEASIBLE


def test_a_loss_that_is_infinite_at_the_last_epoch_makes_the_trial_diverged():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, **ONE_EPOCH))
    trial = train(sweep, 0.9, train_loss=math.inf)
    assert trial.status is Status.DIVERGED
    assert trial.reason == "loss was NaN or infinite at epoch 1"


def test_a_cut_names_the_metric_in_its_own_units_where_smaller_is_better():
    sweep, _ = new_sweep(small_spec(**LOSS))
    for accuracy in (0.7, 0.6):
        assert train(sweep, accuracy).status is Status.RUNNING
    trial = train(sweep, 0.2)
    # The best third of losses 0.3, 0.4 and 0.8 reaches 0.3 + (0.4 - 0.3) * 2 / 3.
    assert trial.reason == (
        "val_loss 0.8000 at epoch 1 did not reach 0.3667, "
        "the threshold of the best 1/3 of the 3 trials there so far"
    )


def test_a_trial_is_trained_again_for_its_files_up_to_the_epoch_where_it_was_stopped():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    trial = train(sweep, 0.2, 0.3)
    sweep.stop_trial(trial.id, "by hand")
    sweep.report(trial.id, 3, figures(trial.id, 3), WORKER)
    sweep.train_again(trial.id)
    assert not sweep.report(trial.id, 1, figures(trial.id, 1), WORKER)
    assert not sweep.report(trial.id, 2, figures(trial.id, 2), WORKER)
    assert sweep.queue.lost == {trial.id}
    assert sweep.report(trial.id, 3, figures(trial.id, 3), WORKER)
    assert sweep.queue.lost == set()
    assert [one.epoch for one in trial.measurements] == [1, 2, 3]
    assert trial.status is Status.EARLY_STOPPED


def test_the_first_reason_to_stop_is_the_one_that_is_told():
    sweep, ledger = new_sweep(small_spec())
    sweep.stop("its budget is spent")
    sweep.stop("stopped by SIGINT")
    sweep.close()
    assert (ledger[-1]["event"], ledger[-1]["reason"]) == ("sweep_stopped", "its budget is spent")
    closed, ledger = new_sweep(small_spec())
    trial = closed.next_trial()
    closed.start(trial.id, 1.0)
    closed.close()
    assert (trial.status, trial.reason) == (Status.INTERRUPTED, "it was closed")
    finished, ledger = new_sweep(small_spec(searcher={"name": "random", "samples": 1}))
    play(finished)
    finished.close()
    assert ledger[-1]["event"] == "sweep_finished"


def test_a_sweep_that_is_closed_before_its_replicates_is_stopped_and_not_finished():
    spec = small_spec(space={"kernel_size": [3]}, replicates=2, **ONE_EPOCH)
    sweep, ledger = new_sweep(spec)
    (trial,) = sweep.next_bundle(1).trials
    assert sweep.next_bundle(1) is None, "its space is used up"
    sweep.start(trial, 1.0)
    sweep.report(trial, 1, figures(trial, 1), WORKER)
    sweep.close()
    assert ledger[-1]["event"] == "sweep_stopped"


def test_a_killed_sweep_says_so_of_the_trials_that_ran():
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    running, waiting = train(sweep, 0.3), sweep.next_trial()
    again, _ = new_sweep(small_spec(scheduler={"name": "none"}), ledger)
    found = again.trials[running.id]
    assert (found.status, found.reason) == (Status.INTERRUPTED, "its sweep was killed")
    assert again.trials[waiting.id].status is Status.PENDING


def test_an_event_is_written_before_the_sweep_acts_on_it():
    seen = []

    def commit(event):
        ended = isinstance(event, TrialEnded)
        known = sweep.trials[event.trial].status if ended else None
        seen.append((type(event), len(sweep.trials), known))
        if isinstance(event, AttemptLost):
            raise OSError("disk full")

    sweep = Sweep(small_spec(**ONE_EPOCH), fingerprint="f", commit=commit)
    trial = train(sweep, 0.5)
    assert seen[0] == (TrialProposed, 0, None)
    assert seen[-1] == (TrialEnded, 1, Status.RUNNING)
    waiting = sweep.next_trial()
    sweep.start(waiting.id, 1.0)
    with pytest.raises(OSError, match="disk full"):
        sweep.lose_attempt(waiting.id, "n7")
    assert (waiting.status, waiting.nodes_lost) == (Status.RUNNING, 0)
    assert trial.status is Status.COMPLETED


def test_a_measurement_says_where_the_trial_runs_and_what_it_holds():
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    trial = sweep.next_trial()
    sweep.start(trial.id, 0.25)
    worker = {"host": "n7", "device": "a card", "parameters": 12, "devices": 0.5}
    sweep.report(trial.id, 1, figures(trial.id, 1, seconds=4.0), worker)
    sweep.report(trial.id, 2, figures(trial.id, 2, seconds=2.0), {**worker, "host": "n8"})
    again, _ = new_sweep(small_spec(), ledger)
    found = again.trials[trial.id]
    assert (found.host, found.device, found.parameters) == ("n8", "a card", 12)
    assert (found.seconds, found.devices, found.device_seconds) == (6.0, 0.5, 3.0)
    first, second = [event for event in ledger if event["event"] == "measurement"]
    assert {"host", "device", "parameters", "devices"} <= first.keys()
    assert first["values"].keys() == figures(trial.id, 1).keys()
    assert second["host"] == "n8"
    assert "device" not in second, "what has not changed is not written again"


def test_replicates_wait_for_the_end_of_a_search_that_a_scheduler_cuts():
    sweep, _ = new_sweep(small_spec(**TWO_EPOCHS, replicates=2, finalists=1))
    first, running = train(sweep, 0.9, 0.9), []
    while (trial := sweep.next_trial()) is not None:
        assert trial.phase == "search"
        running.append(trial)
    for trial in running:
        sweep.fail(trial.id, f"no {trial.id}")
    replicate = sweep.next_trial()
    assert (replicate.phase, replicate.configuration_id) == ("finalist", first.configuration_id)


def test_replicates_of_a_longer_trial_pass_those_that_wait():
    spec = small_spec(
        **ONE_EPOCH, scheduler={"name": "none"}, replicates=3, space={"kernel_size": [3, 5]}
    )
    sweep, _ = new_sweep(spec)
    short, long = sweep.next_trial(), sweep.next_trial()
    assert sweep.next_trial() is None
    for trial, seconds in ((short, 1.0), (long, 7.0)):
        sweep.start(trial.id, 1.0)
        sweep.report(trial.id, 1, figures(trial.id, 1, seconds=seconds), WORKER)
        assert sweep.next_trial().configuration_id == trial.configuration_id
    known = dict(sweep.seconds_of)
    another = next(one for one in sweep.trials.values() if one.replicate == 1)
    sweep.start(another.id, 1.0)
    sweep.report(another.id, 1, figures(another.id, 1, seconds=90.0), WORKER)
    assert sweep.seconds_of == known, "the first training says how long the next takes"


def test_the_searcher_hears_curves_in_which_larger_is_better_and_values_of_whole_trials(
    monkeypatch,
):
    heard = []
    monkeypatch.setattr(SampledSearcher, "hear_ended", lambda _self, *words: heard.append(words))
    spec = small_spec(**LOSS, **TWO_EPOCHS, scheduler={"name": "none"},
                      searcher={"name": "random", "samples": 9})  # fmt: skip
    sweep, _ = new_sweep(spec)
    failed, stopped = train(sweep, 0.25), train(sweep, 0.25)
    sweep.fail(failed.id, "no")
    waiting = sweep.next_trial()
    sweep.start(waiting.id, 1.0)
    sweep.attempt_failed(waiting.id, "broke")
    sweep.stop_trial(waiting.id, "by hand")
    whole, diverged = train(sweep, 0.5, 0.25), train(sweep, 0.5, 0.75, train_loss=math.nan)
    assert heard == [
        (failed.id, [], None),
        (waiting.id, [], None),
        (whole.id, [-0.5, -0.5], [-0.5]),
        (diverged.id, [-0.5], None),
    ]
    longer, _ = new_sweep(spec.model_copy(update={"fixed": small_spec().fixed}))
    stopped = train(longer, 0.25, 0.5)
    longer.stop_trial(stopped.id, "by hand")
    longer.report(stopped.id, 3, figures(stopped.id, 3, val_loss=0.625), WORKER)
    assert heard[-1] == (stopped.id, [-0.75, -0.5, -0.5], None)


def test_trials_that_a_killed_sweep_had_not_ended_yet_are_ended_in_their_order():
    spec = small_spec(**ONE_EPOCH)
    sweep, ledger = new_sweep(spec)
    trials = [train(sweep, 0.5) for _ in range(6)]
    cut = [event for event in ledger if event["event"] != "trial_ended"]
    written = []
    Sweep(spec, fingerprint="f", commit=keep_in(written), events=events_of(cut))
    assert [(one["event"], one["trial"]) for one in written] == [
        ("trial_ended", trial.id) for trial in trials
    ]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_figure_that_is_not_finite_is_null_in_the_ledger(value):
    sweep, ledger = new_sweep(small_spec())
    trial = train(sweep, 0.5, train_loss=value)
    (told,) = [event["values"] for event in ledger if event["event"] == "measurement"]
    assert (told["train_loss"], told["val_accuracy"]) == (None, 0.5)
    assert math.isnan(trial.last.values["train_loss"])


def test_times_in_the_ledger_are_told_to_the_millisecond(clock):
    clock.now = 1000.12345
    _, ledger = new_sweep(small_spec())
    assert ledger[0]["time"] == 1000.123


def test_what_the_scheduler_says_of_a_trial_counts_before_a_request_to_stop_it():
    sweep, _ = new_sweep(small_spec())
    for accuracy in (0.7, 0.6):
        train(sweep, accuracy)
    cut = sweep.next_trial()
    sweep.start(cut.id, 1.0)
    sweep.stop_trial(cut.id, "by hand")
    sweep.report(cut.id, 1, figures(cut.id, 1, val_accuracy=0.2), WORKER)
    assert "did not reach" in cut.reason
    asked = train(sweep, 0.9)
    sweep.stop_trial(asked.id, "by hand")
    sweep.report(asked.id, 2, figures(asked.id, 2), WORKER)
    assert (asked.status, asked.reason) == (Status.EARLY_STOPPED, "by hand")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"searcher": {"name": "gird"}}, "searcher must be one of grid, random, sobol, tpe"),
        ({"scheduler": {"name": "hyper"}}, "scheduler must be one of none, asha.*but got 'hyper'"),
        ({"searcher": {"name": "tpe"}}, "add samples: N"),
        ({"searcher": {"name": "grid", "samples": 3}}, "leave samples out"),
        ({"space": {"learning_rate": {"low": 0.1, "high": 0.2}}}, "continuous range"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        Sweep(small_spec(**changes), fingerprint="f")


def test_a_replicate_that_was_trained_best_is_the_incumbent():
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH, replicates=2, space={"kernel_size": [3]}))
    train(sweep, 0.5)
    replicate = train(sweep, 0.6)
    assert replicate.phase == "finalist"
    assert sweep.incumbent is replicate


def test_a_sweep_is_not_finished_while_files_are_made_again():
    sweep, ledger = new_sweep(small_spec(**TWO_EPOCHS, space={"kernel_size": [3]}))
    trial = train(sweep, 0.5)
    sweep.stop_trial(trial.id, "by hand")
    waiting = sweep.next_trial()
    assert waiting is None
    sweep.report(trial.id, 2, figures(trial.id, 2, train_loss=math.nan), WORKER)
    sweep.next_trial()
    assert sweep.finished
    sweep.train_again(trial.id)
    assert not sweep.finished
    again, _ = new_sweep(small_spec(), ledger)
    assert not again.finished
    assert again.next_trial().id == trial.id
    again.start(trial.id, 1.0)
    assert again.trials[trial.id].status is Status.DIVERGED, "its result stands meanwhile"
    again.report(trial.id, 2, figures(trial.id, 2), WORKER)
    assert again.finished


def test_a_sweep_whose_last_trial_becomes_a_finalist_is_not_finished():
    spec = small_spec(**ONE_EPOCH, **NO_SCHEDULER, replicates=2, space={"kernel_size": [3, 5]})
    sweep, _ = new_sweep(spec)
    first, slow = sweep.next_trial(), sweep.next_trial()
    assert sweep.next_trial() is None
    for trial in (first, slow):
        sweep.start(trial.id, 1.0)
    sweep.report(first.id, 1, figures(first.id, 1), WORKER)
    train(sweep, 0.5)
    sweep.report(slow.id, 1, figures(slow.id, 1), WORKER)
    assert not sweep.finished
    assert train(sweep, 0.5).configuration_id == slow.configuration_id
    assert sweep.finished


def test_the_front_is_worth_keeping_before_the_search_is_over():
    sweep, _ = new_sweep(
        small_spec(
            **ONE_EPOCH,
            **{
                **NO_SCHEDULER,
                "objective": [{"metric": "val_accuracy"}, {"metric": "parameters", "mode": "min"}],
            },
        )
    )
    trials = []
    for accuracy, parameters in ((0.9, 100), (0.5, 1), (0.8, 200)):
        trial = sweep.next_trial()
        sweep.start(trial.id, 1.0)
        worker = {**WORKER, "parameters": parameters}
        sweep.report(trial.id, 1, figures(trial.id, 1, val_accuracy=accuracy), worker)
        trials.append(trial)
    assert sweep.worth_keeping(1) == {trials[0].id, trials[1].id}


def test_a_searcher_hears_no_figure_that_is_not_finite(monkeypatch):
    heard = []
    monkeypatch.setattr(SampledSearcher, "hear_ended", lambda _self, *words: heard.append(words))
    last = {"objective": {"metric": "val_loss", "mode": "min", "at": "last"}}
    sweep, _ = new_sweep(
        small_spec(**last, **NO_SCHEDULER, searcher={"name": "random", "samples": 3})
    )
    trial = train(sweep, 0.5)
    sweep.report(trial.id, 2, figures(trial.id, 2, val_loss=math.inf), WORKER)
    assert trial.status is Status.DIVERGED
    assert heard == [(trial.id, [-0.5], None)]


def test_the_budget_of_device_hours_counts_all_trials_and_all_sessions():
    sweep, ledger = new_sweep(small_spec(**NO_SCHEDULER))
    for seconds in (3.0, 4.0):
        train(sweep, 0.5, 0.5, seconds=seconds)
    again, _ = new_sweep(small_spec(), ledger)
    assert again.device_seconds == 2 * 3.0 + 2 * 4.0


def test_a_fault_in_the_same_epoch_is_not_tried_a_third_time():
    sweep, _ = new_sweep(small_spec(retries=5, scheduler={"name": "none"}))
    trial = train(sweep, 0.5)
    sweep.attempt_failed(trial.id, "SIGSEGV", fault="SIGSEGV")
    sweep.attempt_failed(trial.id, "SIGABRT", fault="SIGABRT")
    sweep.report(trial.id, 2, figures(trial.id, 2), WORKER)
    sweep.attempt_failed(trial.id, "SIGABRT", fault="SIGABRT")
    for _ in range(2):
        sweep.attempt_failed(trial.id, "killed")
    assert not trial.ended
    sweep.attempt_failed(trial.id, "SIGABRT", fault="SIGABRT")
    assert trial.status is Status.FAILED


ONE_SIZE = {"scheduler": {"name": "none"}, "retries": 0}


@pytest.mark.parametrize("searcher", ["grid", "random", "tpe", "cmaes", "nsga2"])
def test_failed_trials_are_trained_once_more_and_so_they_are_after_a_resume(searcher):
    spec = small_spec(
        **RANGES if searcher == "cmaes" else {}, **TWO_EPOCHS, **ONE_SIZE,
        searcher={"name": searcher, **({} if searcher == "grid" else {"samples": 4})},
    )  # fmt: skip
    sweep, ledger = new_sweep(spec)
    broken = [train(sweep, 0.5), train(sweep)]
    for trial in broken:
        sweep.attempt_failed(trial.id, "no disk")
    play(sweep)
    assert sweep.finished
    assert sweep.retry_failed() == 2
    assert sweep.retry_failed() == 0
    again, more = new_sweep(spec, ledger)
    play(again, steps=1)
    last, _ = new_sweep(spec, more)
    play(last)
    assert last.finished
    assert len(last.trials) == len(sweep.trials)
    assert {trial.status for trial in last.trials.values()} == {Status.COMPLETED}
    for trial in broken:
        assert [one.epoch for one in last.trials[trial.id].measurements] == [1, 2]


def fail(sweep, error):
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    sweep.attempt_failed(trial.id, f"{error} (all of it in errors/{trial.id}.txt)")


def test_a_sweep_whose_trials_fail_alike_stops_and_keeps_them():
    space = {"kernel_size": [3, 5, 7], "blocks": [1, 2, 3], "channels": [4, 8, 16]}
    spec = small_spec(**TWO_EPOCHS, **ONE_SIZE, space=space)
    sweep, ledger = new_sweep(spec)
    for _ in range(ALIKE - 1):
        fail(sweep, "no disk")
    fail(sweep, "another thing")
    for _ in range(ALIKE - 1):
        fail(sweep, "no disk")
    assert sweep.stopping is None
    fail(sweep, "no disk")
    assert sweep.stopping == (
        "the last 5 trials failed with the same error (no disk); remove the cause and "
        "resume with --retry-failed to train them again"
    )
    assert sweep.next_trial() is None
    sweep.close()
    assert ledger[-1]["reason"] == sweep.stopping
    accepted, _ = new_sweep(spec, ledger)
    for _ in range(ALIKE):
        fail(accepted, "no disk")
    assert accepted.stopping is None, "the user knows, and goes on without them"
    retried, _ = new_sweep(spec, ledger)
    retried.retry_failed()
    for _ in range(ALIKE):
        fail(retried, "no disk")
    assert retried.stopping is not None


def test_trials_that_end_well_between_failures_keep_a_sweep_going():
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH, **ONE_SIZE))
    for _ in range(ALIKE):
        fail(sweep, "no disk")
        train(sweep, 0.5)
    assert sweep.stopping is None
