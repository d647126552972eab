"""The Ray adapter on a real Ray, with trainings that cost nothing."""

import functools
import os
import signal
from collections import Counter
from dataclasses import dataclass

import pytest

from tests.sweeps import TrivialTraining, small_spec
from tune.engine import Slots, drive, ray_session
from tune.ledger import Ledger
from tune.schema import Status, read_events
from tune.sweep import Sweep

SLOTS = Slots(cpus=1, gpus=0, count=2)


@pytest.fixture(scope="module", autouse=True)
def session():
    with ray_session(object_store_bytes=100_000_000):
        yield


def trivial(kind, run, trial_id, config):
    return kind(run=run, trial_id=trial_id, epochs=config["epochs"])


def run_sweep(run, *, kind=TrivialTraining, slots=SLOTS, **changes):
    with Ledger(run) as ledger:
        sweep = Sweep(small_spec(**changes), fingerprint="f", commit=ledger.append)
        sweep.begin()
        make_training = functools.partial(trivial, kind, run)
        drive(sweep, run=run, slots=slots, make_training=make_training)
        sweep.close()
    return sweep


def trained(run):
    lines = (run / "trained.txt").read_text().splitlines()
    return Counter(tuple(line.split()) for line in lines)


def test_a_sweep_with_asha_trains_each_epoch_once_and_stops_what_the_sweep_stops(tmp_path):
    sweep = run_sweep(tmp_path, replicates=2, finalists=2)
    assert sweep.finished
    assert {trial.status for trial in sweep.trials.values()} == {
        Status.COMPLETED,
        Status.EARLY_STOPPED,
    }
    measured = {(t.id, str(m.epoch)) for t in sweep.trials.values() for m in t.measurements}
    assert trained(tmp_path) == dict.fromkeys(measured, 1)


@dataclass(kw_only=True)
class Slow(TrivialTraining):
    """Takes long enough for a second worker to start beside it."""

    sleep_seconds: float = 0.4


def test_as_many_trials_run_at_once_as_there_are_slots(tmp_path):
    run_sweep(tmp_path, kind=Slow, searcher={"name": "tpe", "samples": 4})
    running, most = set(), 0
    for event in read_events(tmp_path):
        if event["event"] == "trial_started":
            running.add(event["trial"])
        elif event["event"] == "trial_ended":
            running.discard(event["trial"])
        most = max(most, len(running))
    assert most == 2


@dataclass(kw_only=True)
class Fails(TrivialTraining):
    """Raises at epoch 3, in every attempt."""

    def advance(self):
        if self._read() == 2:
            raise RuntimeError("no third epoch")
        return super().advance()


def test_a_trial_that_fails_is_retried_from_where_it_was_and_then_given_up(tmp_path):
    sweep = run_sweep(tmp_path, kind=Fails, scheduler={"name": "none"}, retries=1,
                      space={"kernel_size": [3, 5]})  # fmt: skip
    assert sweep.finished
    for trial in sweep.trials.values():
        assert trial.status is Status.FAILED
        assert "RuntimeError: no third epoch" in trial.reason
        error = (tmp_path / "errors" / f"{trial.id}.txt").read_text()
        assert error.count("in advance") == 2
    attempts = Counter(e["event"] for e in read_events(tmp_path))
    assert attempts["attempt_failed"] == 2
    assert set(trained(tmp_path).values()) == {1}


@dataclass(kw_only=True)
class Dies(TrivialTraining):
    """Its process is killed once, after epoch 2 is on disk."""

    def advance(self):
        mark = self.run / f"{self.trial_id}.killed"
        if self._read() == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().advance()


def test_a_trial_whose_worker_is_killed_goes_on_in_another(tmp_path):
    sweep = run_sweep(tmp_path, kind=Dies, scheduler={"name": "none"},
                      space={"kernel_size": [3, 5]})  # fmt: skip
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert set(trained(tmp_path).values()) == {1}
    deaths = [e["error"] for e in read_events(tmp_path) if e["event"] == "attempt_failed"]
    assert len(deaths) == 2
    assert all("died" in error for error in deaths)
