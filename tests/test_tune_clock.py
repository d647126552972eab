"""Hours of a sweep are those that its driver sessions worked, whatever the clock does meanwhile."""

import pytest

from tests.support.ledgers import events_of, keep_in
from tests.support.sweeps import (
    ONE_EPOCH,
    TWO_EPOCHS,
    Clock,
    new_sweep,
    play,
    small_spec,
    train,
)
from tune.sweep.clock import SimulatedClock
from tune.sweep.sweep import Sweep

WEEK = 7 * 24 * 3600.0
TWO = small_spec(**TWO_EPOCHS, scheduler={"name": "none"}, space={"kernel_size": [3, 5]})
MORE = TWO.model_copy(update={"space": {"kernel_size": [3, 5, 7]}})


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tune.sweep.clock.time", clock)
    return clock


def opened(ledger, spec=TWO):
    """The sweep as a further process opens it."""
    return Sweep(spec, fingerprint="f", commit=keep_in(ledger), events=events_of(ledger))


@pytest.fixture
def worked(clock):
    """A sweep that worked for 100 seconds, of which a trial was trained for one of two epochs."""
    sweep, ledger = new_sweep(TWO)
    clock.now += 40.0
    trial = train(sweep, 0.5)
    clock.now += 60.0
    sweep.lose_node("n7")
    return sweep, ledger, trial


AFTER_A_PAUSE = {
    "extended": lambda sweep, _trial: sweep.extend(MORE),
    "test split opened": lambda sweep, trial: sweep.open_test(trial),
    "failed trials retried": lambda sweep, _trial: sweep.retry_failed(),
    "files lost": lambda sweep, trial: sweep.train_again(trial),
    "resumed": lambda sweep, _trial: sweep.begin(),
}


@pytest.mark.parametrize("ends", ["stopped", "killed"])
@pytest.mark.parametrize("what", AFTER_A_PAUSE)
def test_a_week_between_two_sessions_does_not_count(worked, clock, ends, what):
    sweep, ledger, trial = worked
    if what == "failed trials retried":
        sweep.attempt_failed(trial.id, "broke")
        sweep.fail(trial.id, "broke")
    if ends == "stopped":
        sweep.close()
    clock.now += WEEK
    again = opened(ledger)
    AFTER_A_PAUSE[what](again, trial.id)
    assert again.seconds == 100.0
    clock.now += WEEK
    last = opened(ledger)
    last.begin()
    clock.now += 5.0
    last.lose_node("n8")
    assert last.seconds == opened(ledger).seconds == 105.0


def test_the_time_around_a_retry_in_a_session_counts(worked, clock):
    sweep, ledger, trial = worked
    for _ in range(3):
        sweep.attempt_failed(trial.id, "broke")
    clock.now += 20.0
    assert sweep.retry_failed() == 1
    clock.now += 30.0
    sweep.lose_node("n8")
    assert sweep.seconds == opened(ledger).seconds == 150.0


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_step_of_the_wall_clock_does_not_count(worked, clock, hours):
    sweep, ledger, _ = worked
    clock.step = 3600.0 * hours
    clock.now += 20.0
    sweep.lose_node("n8")
    assert sweep.seconds == opened(ledger).seconds == 120.0
    again = opened(ledger)
    again.begin()
    clock.now += 1.0
    again.lose_node("n9")
    assert again.seconds == 121.0
    assert ledger[-1]["time"] == clock.time(), "a new session follows the wall clock"


def test_a_wall_clock_that_was_set_back_in_an_old_ledger_takes_no_time_away(worked):
    _, ledger, _ = worked
    *before, last = ledger
    back = [{**last, "time": last["time"] - 7200.0 + seconds} for seconds in (0.0, 15.0)]
    assert opened([*before, last, *back]).seconds == 115.0


def test_a_trial_that_a_killed_session_had_not_ended_ends_when_it_was_measured(clock):
    sweep, ledger = new_sweep(small_spec(**ONE_EPOCH))
    clock.now += 30.0
    train(sweep, 0.5)
    killed = [event for event in ledger if event["event"] != "trial_ended"]
    clock.now += WEEK
    again = opened(killed, small_spec(**ONE_EPOCH))
    assert killed[-1]["event"] == "trial_ended"
    assert again.seconds == 30.0


def test_an_extended_sweep_has_its_whole_budget_of_hours_left_after_a_pause(worked, clock):
    sweep, ledger, _ = worked
    sweep.close()
    clock.now += WEEK
    again = opened(ledger)
    again.extend(MORE.model_copy(update={"budget": TWO.budget.model_copy(update={"hours": 1.0})}))
    again.begin()
    assert again.budget_spent() is None
    clock.now += 3500.0
    again.lose_node("n8")
    assert again.budget_spent() == "its budget of 1 hours is spent"


def test_every_event_has_the_time_of_the_sweep_s_clock():
    clock, ledger = SimulatedClock(), []
    spec = small_spec(**ONE_EPOCH, searcher={"name": "grid"}, replicates=2, finalists=1)
    sweep = Sweep(spec, fingerprint="f", commit=keep_in(ledger), clock=clock)
    clock.seconds = 5.0
    sweep.begin()
    play(sweep, slots=1)
    trial = next(iter(sweep.trials))
    sweep.train_again(trial)
    sweep.open_test(trial)
    sweep.retry_failed()
    sweep.close()
    kinds = {event["event"] for event in ledger}
    assert {"trial_proposed", "finalists_chosen", "files_lost", "test_opened"} <= kinds
    assert {event["time"] for event in ledger if "time" in event} == {5.0}
