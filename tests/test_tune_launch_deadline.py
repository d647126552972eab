"""When a sweep leaves an allocation that ends."""

import pytest

from tests.support.allocations import Programs, write_run
from tests.support.sweeps import figures, new_sweep, small_spec, train
from tune.launch import deadline
from tune.run.directory import RUNS


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a shell script with a name of Slurm's first on the path."""
    return Programs(tmp_path, monkeypatch)


@pytest.mark.usefixtures("program")
def test_an_allocation_is_left_two_epochs_and_a_margin_before_its_end(monkeypatch):
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    train(sweep, 0.5, seconds=900.0)
    running = train(sweep, 0.5, seconds=90.0)
    sweep.report(running.id, 2, figures("t", 2, seconds=300.0), {})
    sweep.fail(next(iter(sweep.trials)), "no")
    run = write_run(ledger)
    now = 1000.0
    monkeypatch.setattr(deadline.time, "time", lambda: now)
    watch = deadline.Deadline(lambda: 1000.0 + 4 * 3600, run)
    # A twentieth of four hours is 720 seconds; the last epoch of the trial that runs took 300.
    now = 1000.0 + 4 * 3600 - 720 - 600 - 61
    assert not watch.leave()
    now += 62
    assert watch.leave()
    now = 1000.0 + 4 * 3600 - 10.5
    assert watch.seconds_left() == 10.5


@pytest.mark.usefixtures("program")
def test_half_of_a_short_allocation_is_used_however_long_epochs_are(monkeypatch):
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    train(sweep, 0.5, seconds=3000.0)
    now = 1000.0
    monkeypatch.setattr(deadline.time, "time", lambda: now)
    watch = deadline.Deadline(lambda: 1600.0, write_run(ledger))
    now = 1239.0
    assert not watch.leave()
    now = 1300.0
    assert watch.leave()


@pytest.mark.usefixtures("program")
def test_the_end_of_an_allocation_is_asked_for_anew_each_minute(monkeypatch):
    now, ends, asked = 1000.0, [1400.0, 9000.0, None], []
    monkeypatch.setattr(deadline.time, "time", lambda: now)
    watch = deadline.Deadline(lambda: asked.append(now) or ends[len(asked) - 1], RUNS / "no")
    watch.leave()
    now = 1059.0
    watch.leave()
    assert asked == [1000.0]
    now = 1061.0
    watch.leave()
    assert asked == [1000.0, 1061.0]
    now = 1395.0
    assert not watch.leave()
    assert watch.seconds_left() == 9000.0 - 1395.0, "Slurm does not answer the third time"


@pytest.mark.usefixtures("program")
def test_the_longest_epoch_of_the_trials_that_run_decides(monkeypatch):
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    for seconds in (300.0, 90.0):
        train(sweep, 0.5, seconds=seconds)
    now = 1000.0
    monkeypatch.setattr(deadline.time, "time", lambda: now)
    watch = deadline.Deadline(lambda: 1000.0 + 4 * 3600, write_run(ledger))
    now = 1000.0 + 4 * 3600 - 720 - 600 + 1
    assert watch.leave()


@pytest.mark.usefixtures("program")
def test_a_signal_of_slurm_makes_the_end_be_asked_for_at_once(monkeypatch):
    now, asked = 1000.0, []
    monkeypatch.setattr(deadline.time, "time", lambda: now)
    watch = deadline.Deadline(lambda: asked.append(now) or 9000.0, RUNS / "no")
    watch.leave()
    now = 1001.0
    watch.leave()
    watch.signal()
    watch.leave()
    assert asked == [1000.0, 1001.0]
