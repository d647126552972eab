"""How a run is seen from another process, and what that process may ask of it."""

import io
import json
import os
import shutil
import socket
import time
from types import SimpleNamespace

import psutil
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.support.ledgers import events_of
from tests.support.sweeps import Clock, curve, figures, new_sweep, play, searched_epochs, small_spec
from tune.__main__ import main
from tune.commands.status import _status_view, print_status, sparkline, watch_status
from tune.run.directory import (
    LEASE_FILE,
    LEDGER_FILE,
    RETRY_FILE,
    SPEC_FILE,
    STOP_FILE,
    TRIALS_FILE,
    RunError,
)
from tune.run.lease import LEASE_SECONDS, hold
from tune.run.ledger import Ledger
from tune.run.tables import read_table_info
from tune.run.trial import Status
from tune.session.chores import Chores
from tune.session.loggers import Loggers
from tune.session.notify import Notifier
from tune.session.progress import Progress
from tune.session.run_directory import PROVENANCE_FILE, write_spec
from tune.session.status import (
    RunWatch,
    epochs_left,
    list_runs,
    request_retry,
    request_stop,
    run_status,
)
from tune.sweep.sweep import Sweep

WORKER = {"host": "here", "device": "cpu", "parameters": 7}


@pytest.fixture
def begin(tmp_path):
    """A function that begins a sweep with a changed spec in the run directory ``tmp_path``."""
    ledger = Ledger(tmp_path)

    def begin(**changes):
        spec = small_spec(**changes)
        write_spec(tmp_path, spec)
        (tmp_path / PROVENANCE_FILE).write_text(json.dumps({"dataset": {"fingerprint": "f"}}))
        sweep = Sweep(spec, fingerprint="f", commit=ledger.append)
        sweep.begin()
        return sweep

    yield begin
    ledger.close()


def report(sweep, trial, epochs=1, **changes):
    for _ in range(epochs):
        epoch = len(trial.measurements) + 1
        over = sweep.report(trial.id, epoch, figures(trial.id, epoch, **changes), WORKER)
    return over


def start(sweep):
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    return trial


def test_a_status_tells_the_incumbents_curve_and_what_runs(begin, tmp_path):
    sweep = begin(scheduler={"name": "none"})
    first, second, third = (start(sweep) for _ in range(3))
    report(sweep, first, 9)
    report(sweep, second, 2, images_per_second=300.0, val_accuracy=0.1)
    report(sweep, third, images_per_second=50.0, val_accuracy=0.2)
    with hold(tmp_path):
        status = run_status(tmp_path)
    assert status["running"]
    assert not status["finished"]
    assert status["trials"] == {"COMPLETED": 1, "RUNNING": 2}
    assert status["best"]["id"] == first.id
    assert status["curve"] == [curve(first.id, epoch) for epoch in range(1, 10)]
    assert [(one["id"], one["epoch"]) for one in status["running_trials"]] == [
        (second.id, 2),
        (third.id, 1),
    ]
    assert status["images_per_second"] == 350.0


@pytest.mark.parametrize("host", [socket.gethostname(), "elsewhere"])
def test_a_suspended_driver_is_said_to_be_silent_and_not_to_run(begin, tmp_path, capsys, host):
    sweep = begin(scheduler={"name": "none"})
    report(sweep, start(sweep), 2)
    me = {"pid": os.getpid(), "started": psutil.Process().create_time()}
    lease = tmp_path / LEASE_FILE
    lease.write_text(json.dumps({"host": host, **me, "job": "17"}))
    assert run_status(tmp_path)["running"]
    assert run_status(tmp_path)["silence"] == ""
    heard = time.time() - LEASE_SECONDS - 1
    os.utime(lease, (heard, heard))
    status = run_status(tmp_path)
    assert not status["running"]
    assert status["trials"] == {"INTERRUPTED": 1}
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(heard))
    told = f"process {os.getpid()} on {host} (Slurm job 17) has given no sign of life since {since}"
    assert status["silence"] == f"{told}; it may be suspended"
    print_status(tmp_path)
    shown = capsys.readouterr().out
    assert "silent" in shown
    assert "no sign of life since" in shown
    lease.write_text(json.dumps({"host": socket.gethostname(), **me, "started": 1.0}))
    os.utime(lease, (heard, heard))
    assert run_status(tmp_path)["silence"] == "", "it has died"


def test_without_a_driver_nothing_runs(begin, tmp_path):
    sweep = begin()
    report(sweep, start(sweep))
    status = run_status(tmp_path)
    assert status["trials"] == {"INTERRUPTED": 1}
    assert (status["running"], status["images_per_second"], status["seconds_left"]) == (
        False,
        0,
        None,
    )


def test_epochs_left_count_early_stops_in(begin):
    sweep = begin(searcher={"name": "random", "samples": 4}, scheduler={"name": "none"})
    assert epochs_left(sweep) is None
    one, two = start(sweep), start(sweep)
    assert epochs_left(sweep) == 4 * 9
    report(sweep, one, 9)
    report(sweep, two, 3)
    assert epochs_left(sweep) == 6 + 2 * 9
    sweep.stop_trial(two.id, "by hand")
    report(sweep, two)
    assert epochs_left(sweep) == pytest.approx(13 / 18 * 2 * 9)


@pytest.mark.parametrize(
    ("budget", "left"),
    # 3 of 36 epochs are trained, one every 40 seconds; 290 seconds of the clock are gone.
    [({}, 33 * 40.0), ({"hours": 1.0}, 33 * 40.0), ({"hours": 0.25}, 900.0 - 290.0),
     ({"hours": 0.05}, 0.0), ({"device_hours": 0.05}, 33 * 40.0)],
)  # fmt: skip
def test_time_left_is_what_the_last_epochs_took_and_never_beyond_the_budget(
    begin, tmp_path, monkeypatch, budget, left
):
    clock = Clock()
    monkeypatch.setattr("tune.sweep.clock.time", clock)
    none = {"name": "none"}
    sweep = begin(searcher={"name": "random", "samples": 4}, scheduler=none, budget=budget)
    trial = start(sweep)
    clock.now += 170.0
    for _ in range(3):
        report(sweep, trial, seconds=30.0)
        clock.now += 40.0
    sweep.lose_node("n7")
    clock.now += 9000.0
    with hold(tmp_path):
        status = run_status(tmp_path)
    assert status["seconds_left"] == pytest.approx(left)
    assert status["epochs_per_hour"] == pytest.approx(90.0)
    assert (status["seconds"], status["device_seconds"]) == (290.0, 90.0)
    assert status["budget"] == {
        "hours": {"spent": pytest.approx(290 / 3600, abs=1e-6), "limit": budget.get("hours")},
        "device_hours": {"spent": 0.025, "limit": budget.get("device_hours")},
    }


def test_the_speed_before_a_resume_does_not_count(begin, tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tune.sweep.clock.time", clock)
    sweep = begin(scheduler={"name": "none"})
    trial = start(sweep)
    for _ in range(3):
        clock.now += 1.0
        report(sweep, trial)
    clock.now += 5000.0
    sweep.begin()
    with hold(tmp_path):
        assert run_status(tmp_path)["epochs_per_hour"] == 0.0
        report(sweep, trial)
        clock.now += 20.0
        report(sweep, trial)
        assert run_status(tmp_path)["epochs_per_hour"] == pytest.approx(180.0)


def test_the_front_is_told_where_there_are_several_objectives(begin, tmp_path):
    several = [{"metric": "val_loss", "mode": "min"}, {"metric": "parameters", "mode": "min"}]
    sweep = begin(objective=several, scheduler={"name": "none"})
    trial = start(sweep)
    report(sweep, trial, 9, val_loss=0.25)
    status = run_status(tmp_path)
    assert status["front"] == [
        {"id": trial.id, "name": trial.name, "values": {"val_loss": 0.25, "parameters": 7}}
    ]
    assert (status["best"]["metric"], status["best"]["value"]) == ("val_loss", 0.25)
    assert status["curve"] == [0.25] * 9
    assert status["best"]["config"]["seed"] == 3


def test_a_watch_reads_only_what_was_added_since_its_last_look(begin, tmp_path):
    sweep = begin()
    trial = start(sweep)
    report(sweep, trial)
    watch = RunWatch(tmp_path)
    known = (tmp_path / LEDGER_FILE).stat().st_size
    with (tmp_path / LEDGER_FILE).open("r+b") as ledger:
        ledger.write(b"?" * (known - 1))  # What was read is read no more.
    report(sweep, trial)
    assert len(watch.status()["curve"]) == 2


def test_a_half_written_line_counts_once_it_is_whole(begin, tmp_path):
    sweep = begin()
    trial = start(sweep)
    report(sweep, trial, 2)
    ledger = tmp_path / LEDGER_FILE
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:-20])
    watch = RunWatch(tmp_path)
    assert len(watch.status()["curve"]) == 1
    ledger.write_bytes(whole)
    assert len(watch.status()["curve"]) == 2


def test_a_watch_ends_where_the_whole_ledger_read_at_once_ends(begin, tmp_path):
    sweep = begin(replicates=2, finalists=2, searcher={"name": "tpe", "samples": 8})
    watch = RunWatch(tmp_path)
    play(sweep, slots=2, on_step=watch.status)
    sweep.close()
    assert watch.status() == run_status(tmp_path)
    assert watch.status()["finished"]


def test_a_damaged_ledger_is_told_in_one_line(begin, tmp_path, capsys):
    begin()
    with (tmp_path / LEDGER_FILE).open("a") as ledger:
        ledger.write("no JSON\n")
    assert main(["status", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err


@pytest.fixture
def runs(begin, tmp_path, monkeypatch):
    """The folder of a good run, ``good``, and of one without a spec in any file, ``bad``."""
    begin().close()
    runs = tmp_path / "runs"
    for name in ("bad", "good"):
        shutil.copytree(tmp_path, runs / name, ignore=shutil.ignore_patterns("runs"))
    (runs / "bad" / SPEC_FILE).write_text("name: [small")
    (runs / "bad" / LEDGER_FILE).write_text("")
    monkeypatch.chdir(tmp_path)
    return runs


@pytest.mark.parametrize("words", [["status"], ["extend", "--samples", "2"]])
def test_a_damaged_spec_is_told_in_one_line(runs, capsys, words):
    assert main([*words, str(runs / "bad")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad has no spec and no ledger that can be read" in line
    assert "bad/spec.yaml is not valid YAML: " in line


def test_a_damaged_run_is_a_row_of_the_list(runs, capsys):
    (runs / "unread").mkdir()
    (runs / "unread" / LEDGER_FILE).mkdir()
    assert main(["list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:2] for row in rows[1:4]] == [
        ["bad", "damaged"],
        ["small", "stopped"],
        ["unread", "damaged"],
    ]
    assert "bad has no spec and no ledger that can be read" in rows[4]


def test_runs_are_listed_by_name(tmp_path):
    names = [f"run{number}" for number in (7, 2, 5, 1, 8, 3, 6, 4)]
    for name in names:
        (tmp_path / name / LEDGER_FILE).mkdir(parents=True)
    assert [status["name"] for status in list_runs(tmp_path)] == sorted(names)


def test_the_name_of_a_damaged_run_is_printed_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "old [a] :warning:" / LEDGER_FILE).mkdir(parents=True)
    assert main(["list"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["old", "[a]", ":warning:", "damaged"]


def test_a_path_that_cannot_be_used_is_the_users_to_change(runs, capsys):
    assert main(["run", str(runs)]) == 2
    assert "Is a directory" in capsys.readouterr().err
    (runs / "good" / "lease.json").mkdir()
    assert main(["status", str(runs / "good")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("lease.json: Is a directory; check the path")


def test_one_trial_is_stopped_by_hand_at_its_next_report(begin, tmp_path):
    sweep = begin(scheduler={"name": "none"})
    trial, other = start(sweep), start(sweep)
    progress = Progress(sweep, Console(file=io.StringIO()))
    chores = Chores(
        tmp_path, sweep, ("a", "b"), progress, Loggers(tmp_path, sweep), Notifier(tmp_path, sweep)
    )
    with hold(tmp_path):
        request_stop(tmp_path, trial.id)
    chores.do()
    assert trial.status is Status.RUNNING
    assert not report(sweep, other)
    assert report(sweep, trial)
    assert (trial.status, trial.reason) == (Status.EARLY_STOPPED, "stopped by hand")
    assert len(trial.measurements) == 1
    assert sweep.stopping is None
    with hold(tmp_path), pytest.raises(RunError, match="has already ended: EARLY_STOPPED"):
        request_stop(tmp_path, trial.id)


def test_a_trial_that_no_worker_has_is_stopped_at_once():
    spec = small_spec()
    sweep, ledger = new_sweep(spec)
    trial = start(sweep)
    again = Sweep(spec, fingerprint="f", events=events_of(ledger))
    again.begin()
    again.stop_trial(trial.id, "stopped by hand")
    assert again.trials[trial.id].status is Status.EARLY_STOPPED
    assert again.next_trial().id != trial.id


@pytest.fixture
def chores(tmp_path):
    """A function that does the chores of a sweep in the run directory ``tmp_path`` now."""

    def do(sweep):
        progress = Progress(sweep, Console(file=io.StringIO()))
        Chores(
            tmp_path,
            sweep,
            ("b", "a"),
            progress,
            Loggers(tmp_path, sweep),
            Notifier(tmp_path, sweep),
        ).do()

    return do


def failed(sweep):
    trial = start(sweep)
    for _ in range(3):
        sweep.attempt_failed(trial.id, "broke")
    return trial


@pytest.mark.parametrize("every", [False, True])
def test_failed_trials_are_retried_while_the_sweep_runs(begin, tmp_path, chores, every):
    sweep = begin(scheduler={"name": "none"})
    broken, other, running = failed(sweep), failed(sweep), start(sweep)
    with hold(tmp_path):
        request_retry(tmp_path, None if every else broken.id)
        with pytest.raises(RunError, match="has not failed: RUNNING"):
            request_retry(tmp_path, running.id)
    (tmp_path / f"{RETRY_FILE}-unknown").touch()
    (tmp_path / "retry_notes.txt").touch()
    chores(sweep)
    assert broken.status is Status.PENDING
    assert other.status is (Status.PENDING if every else Status.FAILED)
    assert [path.name for path in tmp_path.glob(f"{RETRY_FILE}*")] == ["retry_notes.txt"]


def test_a_trial_is_asked_for_by_its_number_or_its_name_too(begin, tmp_path):
    sweep = begin(scheduler={"name": "none"})
    broken, running = failed(sweep), start(sweep)
    with hold(tmp_path):
        for name in ("number", "name"):
            request_retry(tmp_path, str(getattr(broken, name)))
            request_stop(tmp_path, str(getattr(running, name)))
            for request in (f"{RETRY_FILE}-{broken.id}", f"{STOP_FILE}-{running.id}"):
                (tmp_path / request).unlink()


def test_without_a_driver_a_retry_is_refused_with_the_command_that_does_it(begin, tmp_path):
    failed(begin())
    with pytest.raises(RunError, match=r"`python -m tune resume .* --retry-failed` trains"):
        request_retry(tmp_path)
    assert not (tmp_path / RETRY_FILE).exists()


@pytest.mark.parametrize("over", ["stopping", "finished"])
def test_a_retry_that_comes_too_late_changes_nothing(begin, tmp_path, chores, over):
    sweep = begin(scheduler={"name": "none"})
    broken = failed(sweep)
    if over == "finished":
        play(sweep)
        assert sweep.finished
    else:
        sweep.stop("because")
    (tmp_path / RETRY_FILE).touch()
    chores(sweep)
    assert broken.status is Status.FAILED


def test_a_spent_budget_stops_the_sweep_and_lets_workers_write_checkpoints(begin, tmp_path, chores):
    sweep = begin(budget={"device_hours": 0.001})
    trial = start(sweep)
    report(sweep, trial, seconds=3.5)
    chores(sweep)
    assert sweep.stopping is None
    assert not (tmp_path / STOP_FILE).exists()
    assert read_table_info(pq.read_table(tmp_path / TRIALS_FILE)).classes == ("b", "a")
    report(sweep, trial, seconds=0.2)
    chores(sweep)
    assert sweep.stopping == "its budget of 0.001 device-hours is spent"
    assert sweep.ends_as_designed
    assert (tmp_path / STOP_FILE).exists()


def test_a_request_to_stop_is_heard_and_one_for_a_trial_that_has_ended_is_dropped(
    begin, tmp_path, chores
):
    sweep = begin(scheduler={"name": "none"})
    trial, other = start(sweep), start(sweep)
    report(sweep, trial, 9)
    for name in (trial.id, "nobody"):
        (tmp_path / f"{STOP_FILE}-{name}").touch()
    chores(sweep)
    assert not list(tmp_path.glob(f"{STOP_FILE}*"))
    assert sweep.stopping is None
    with hold(tmp_path):
        request_stop(tmp_path)
    assert (tmp_path / STOP_FILE).exists()
    chores(sweep)
    assert sweep.stopping == "asked to by `tune stop`"
    assert other.status is Status.RUNNING


def test_chores_are_done_a_few_times_a_second_and_tables_seldom(begin, tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("tune.session.chores.time.monotonic", lambda: now)
    sweep = begin(scheduler={"name": "none"})
    progress = Progress(sweep, Console(file=io.StringIO()))
    chores = Chores(
        tmp_path, sweep, ("a", "b"), progress, Loggers(tmp_path, sweep), Notifier(tmp_path, sweep)
    )

    def rows():
        chores.do()
        return pq.read_table(tmp_path / TRIALS_FILE).num_rows

    assert rows() == 0
    start(sweep)
    now += 4.9
    assert rows() == 0
    now += 0.2
    assert rows() == 1
    (tmp_path / STOP_FILE).touch()
    now += 0.1
    chores.do()
    assert sweep.stopping is None
    now += 0.2
    chores.do()
    assert sweep.stopping is not None


@pytest.mark.parametrize(
    ("trial", "message"), [("0ff", "has no trial 0ff; "), (None, "is not running")]
)
def test_a_stop_that_cannot_be_is_refused_in_one_line(begin, tmp_path, capsys, trial, message):
    begin()
    words = ["stop", str(tmp_path)]
    if trial is None:
        assert main(words) == 2
    else:
        with hold(tmp_path):
            assert main([*words, "--trial", trial]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_curve_is_drawn_in_bars():
    assert sparkline([0.1, 0.2, None, 0.8]) == "▁▂ █ 0.1000 to 0.8000 in 4 epochs"
    assert sparkline([0.5]) == "▁ 0.5000 to 0.5000 in 1 epochs"
    assert len(sparkline([0.1] * 400).split()[0]) == 50
    assert sparkline([None]) == ""
    long = [0.1] * 119 + [0.8]
    assert sparkline(long).split()[0] == "▁" * 39 + "█", "the last epoch is always drawn"


def test_a_printed_status_shows_curve_speed_budget_and_running_trials(begin, tmp_path, capsys):
    sweep = begin(budget={"device_hours": 2.0})
    trial = start(sweep)
    report(sweep, trial, 3)
    sweep.lose_node("second")
    with hold(tmp_path):
        print_status(tmp_path)
    text = capsys.readouterr().out
    assert "in 3 epochs" in text
    assert "epochs/h" in text
    assert "0.00 of 2 device-hours" in text
    assert "lost nodes: second" in text
    assert f"{trial.id} " in text
    assert "3/9" in text


def test_a_figure_of_zero_is_printed_and_a_missing_one_is_a_dash(
    begin, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    sweep = begin(scheduler={"name": "none"})
    trial, new = start(sweep), start(sweep)
    report(sweep, trial, val_accuracy=0.0, images_per_second=0.0)
    with hold(tmp_path):
        print_status(tmp_path)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [trial.id, trial.name, "seed", "3", "1/9", "0.0000", "0"] in rows
    assert [new.id, new.name, "seed", "3", "0/9", "–", "–"] in rows


def test_the_speed_is_that_of_the_last_hundred_epochs(begin, tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tune.sweep.clock.time", clock)
    fixed = {**small_spec().fixed, "epochs": 200}
    sweep = begin(scheduler={"name": "none"}, fixed=fixed)
    trial = start(sweep)
    for seconds in (50.0, 2.0):
        for _ in range(100):
            clock.now += seconds
            report(sweep, trial)
    with hold(tmp_path):
        assert run_status(tmp_path)["epochs_per_hour"] == pytest.approx(1800.0)


def test_epochs_in_one_moment_have_a_speed_too(begin, tmp_path, monkeypatch):
    monkeypatch.setattr("tune.sweep.clock.time", Clock())
    sweep = begin(scheduler={"name": "none"})
    report(sweep, start(sweep), 3)
    with hold(tmp_path):
        assert run_status(tmp_path)["epochs_per_hour"] == pytest.approx(3600 * 2 / 0.001)


def test_a_trial_that_is_not_proposed_yet_has_the_mean_epochs_of_the_others(begin):
    sweep = begin(**searched_epochs(2, 6, 9), scheduler={"name": "none"})
    start(sweep)
    start(sweep)
    assert epochs_left(sweep) == 2 + 6 + (2 + 6) / 2


def test_a_figure_that_is_not_finite_is_none_in_the_curve(begin, tmp_path):
    sweep = begin(scheduler={"name": "none"})
    trial = start(sweep)
    report(sweep, trial, val_accuracy=0.5)
    report(sweep, trial, val_accuracy=float("inf"))
    assert run_status(tmp_path)["curve"] == [0.5, None]


def test_a_trial_that_runs_is_told_with_its_seed_epochs_best_figure_and_speed(begin, tmp_path):
    sweep = begin(scheduler={"name": "none"})
    trial, new = start(sweep), start(sweep)
    report(sweep, trial, val_accuracy=0.75, images_per_second=20.0)
    report(sweep, trial, val_accuracy=0.5, images_per_second=30.0)
    with hold(tmp_path):
        first, second = run_status(tmp_path)["running_trials"]
    assert first == {
        "id": trial.id, "name": trial.name, "seed": 3, "draw": "seed 3", "epoch": 2, "epochs": 9,
        "value": 0.75, "images_per_second": 30.0,
    }  # fmt: skip
    assert (second["id"], second["epoch"]) == (new.id, 0)
    assert (second["value"], second["images_per_second"]) == (None, None)


def test_chores_log_tidy_and_heed_a_request_while_they_wait_for_space(begin, tmp_path, monkeypatch):
    sweep = begin(scheduler={"name": "none"})
    done = []
    monkeypatch.setattr(Loggers, "update", lambda _self: done.append("logs"))
    monkeypatch.setattr("tune.session.chores.Keeper.tidy", lambda _self: done.append("tidy"))

    def wait(run, needed, *, tell, give_up):
        assert (run, needed) == (tmp_path, 200_000_000)
        assert not give_up()
        (tmp_path / STOP_FILE).touch()
        assert give_up()
        tell("waited")

    monkeypatch.setattr("tune.session.chores.wait_for_space", wait)
    file = io.StringIO()
    progress = Progress(sweep, Console(file=file))
    Chores(
        tmp_path, sweep, ("a", "b"), progress, Loggers(tmp_path, sweep), Notifier(tmp_path, sweep)
    ).do()
    assert done == ["logs", "tidy"]
    assert file.getvalue() == "waited\n"


def test_tables_that_take_long_are_written_so_much_the_seldomer(begin, tmp_path, monkeypatch):
    now, written = 100.0, []

    def write(*_words):
        nonlocal now
        written.append(now)
        now += 0.4

    monkeypatch.setattr("tune.session.chores.time.monotonic", lambda: now)
    monkeypatch.setattr("tune.session.chores.write_tables", write)
    sweep = begin(scheduler={"name": "none"})
    progress = Progress(sweep, Console(file=io.StringIO()))
    chores = Chores(
        tmp_path, sweep, ("a", "b"), progress, Loggers(tmp_path, sweep), Notifier(tmp_path, sweep)
    )
    for at in (100.0, 119.5, 120.5):
        now = at
        chores.do()
    # 0.4 seconds are 2 % of 20.
    assert written == [100.0, 120.5]


@pytest.mark.parametrize(("takes", "looks"), [(0.001, 50), (0.1, 5), (60.0, 1)])
def test_looks_that_take_long_are_spaced_out_but_never_by_minutes(
    begin, tmp_path, monkeypatch, takes, looks
):
    now, seen = 100.0, []

    def look():
        nonlocal now
        seen.append(now)
        now += takes

    monkeypatch.setattr("tune.session.chores.time.monotonic", lambda: now)
    sweep = begin(scheduler={"name": "none"})
    progress = SimpleNamespace(update=look, tell=None)
    tellers = Loggers(tmp_path, sweep), Notifier(tmp_path, sweep)
    chores = Chores(tmp_path, sweep, ("a", "b"), progress, *tellers)
    while now < 110.0:
        chores.do()
        now += 0.01
    assert len(seen) == pytest.approx(looks, rel=0.1)
    now += 5.0
    chores.do()
    assert len(seen) == pytest.approx(looks + 1, rel=0.1)


def test_a_sweep_that_stops_for_another_reason_lets_workers_write_checkpoints_too(
    begin, tmp_path, chores
):
    sweep = begin()
    start(sweep)
    sweep.stop("the last 5 trials failed alike")
    chores(sweep)
    assert (tmp_path / STOP_FILE).exists()
    assert sweep.stopping == "the last 5 trials failed alike"


def test_a_request_to_stop_is_no_end_that_the_spec_asks_for(begin, tmp_path, chores):
    sweep = begin()
    (tmp_path / STOP_FILE).touch()
    chores(sweep)
    assert (sweep.stopping, sweep.ends_as_designed) == ("asked to by `tune stop`", False)


def test_a_trial_is_asked_to_stop_by_its_id_however_it_is_named(begin, tmp_path):
    sweep = begin(scheduler={"name": "none"})
    trial, other = start(sweep), start(sweep)
    with hold(tmp_path):
        request_stop(tmp_path, str(other.number))
        request_stop(tmp_path, trial.name)
    names = {path.name for path in tmp_path.glob(f"{STOP_FILE}*")}
    assert names == {f"{STOP_FILE}-{each.id}" for each in (trial, other)}
    assert run_status(tmp_path)["expected_trials"] == 12


def test_a_stop_of_a_suspended_driver_is_refused_with_the_time_of_its_last_sign(begin, tmp_path):
    begin()
    lease = tmp_path / LEASE_FILE
    lease.write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": 1.0}))
    heard = time.time() - LEASE_SECONDS - 1
    os.utime(lease, (heard, heard))
    with pytest.raises(
        RunError, match=r"^process 7 on elsewhere has given no sign of life since \d"
    ):
        request_stop(tmp_path)
    assert not (tmp_path / STOP_FILE).exists()


def test_a_status_tells_speed_time_left_budget_and_each_trial_that_runs(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    trial = {"id": "t7", "name": "B4", "draw": "seed 3 fold 0", "epoch": 2, "epochs": 9}
    new = {**trial, "id": "t8", "value": None, "images_per_second": None}
    status = {
        "name": "night",
        "finished": False,
        "running": True,
        "silence": "",
        "best": None,
        "trials": {"RUNNING": 2},
        "expected_trials": 12,
        "seconds": 5400.0,
        "device_seconds": 900.0,
        "images_per_second": 12_345.6,
        "epochs_per_hour": 2345.6,
        "seconds_left": 3661.0,
        "failures": [{"reason": f"reason {n}", "trials": 5 - n} for n in range(4)],
        "lost_nodes": ["n7", "n3"],
        "running_trials": [{**trial, "value": 0.25, "images_per_second": 1234.5}, new],
        "budget": {
            "hours": {"spent": 1.5, "limit": 8},
            "device_hours": {"spent": 0.0, "limit": None},
        },
    }
    Console().print(_status_view(status))
    Console().print(_status_view({**status, "seconds_left": None}))
    Console().print(_status_view({**status, "images_per_second": 0.0}))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    speed = "speed: 12,346 pictures/s, 2,346 epochs/h; "
    assert lines[2:12] == [
        f"{speed}about 1:01:01 left",
        "failed (5): reason 0",
        "failed (4): reason 1",
        "failed (3): reason 2",
        "failed: 1 more reasons; see --json",
        "lost nodes: n7, n3; their trials continued elsewhere",
        "budget: 1.50 of 8 hours",
        "running trial epoch best pictures/s",
        "t7 B4 seed 3 fold 0 2/9 0.2500 1,234",
        "t8 B4 seed 3 fold 0 2/9 – –",
    ]
    assert lines[14] == f"{speed}time left not known yet"
    assert lines[26] == "speed: 2,346 epochs/h; about 1:01:01 left", "own training code tells none"


def test_a_status_counts_the_reasons_of_failed_trials(begin, tmp_path):
    sweep = begin(retries=0)
    for reason in ("no memory", "mine.py, line 3: ValueError", "mine.py, line 3: ValueError"):
        sweep.attempt_failed(start(sweep).id, reason)
    sweep.give_up(start(sweep).id, Status.INFEASIBLE, "too large")
    told = run_status(tmp_path)["failures"]
    assert [failure["trials"] for failure in told] == [2, 1]
    assert "mine.py, line 3: ValueError" in told[0]["reason"]


def test_a_reason_is_printed_as_it_stands(begin, tmp_path, capsys):
    sweep = begin(retries=0)
    sweep.attempt_failed(start(sweep).id, "KeyError: [blocks] :warning:")
    print_status(tmp_path)
    assert "KeyError: [blocks] :warning:" in capsys.readouterr().out


def test_a_watch_goes_on_while_a_driver_runs_and_ends_with_it(monkeypatch, tmp_path):
    status = {
        "name": "night", "finished": False, "silence": "", "trials": {}, "expected_trials": 12,
        "best": None, "failures": [], "lost_nodes": ["n7"], "running_trials": [], "seconds": 0.0,
        "device_seconds": 0.0, "budget": {}, "seconds_left": None, "images_per_second": 0.0,
        "epochs_per_hour": 0.0,
    }  # fmt: skip
    looks = iter([True, True, False])
    watch = SimpleNamespace(status=lambda: {**status, "running": next(looks)})
    monkeypatch.setattr("tune.commands.status.RunWatch", lambda run: watch if run else None)
    shown = []

    def view(status):
        shown.append(status["running"])
        return _status_view(status)

    monkeypatch.setattr("tune.commands.status._status_view", view)
    waited = []
    monkeypatch.setattr("tune.commands.status.time.sleep", waited.append)
    watch_status(tmp_path)
    assert shown == [True, True, False], "the end of the run is shown, too"
    assert list(looks) == []
    assert waited == [1, 1]


def test_the_list_tells_why_each_damaged_run_cannot_be_read(runs, capsys):
    shutil.copytree(runs / "bad", runs / "worse")
    assert main(["list"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "bad has no spec and no ledger" in out
    assert "worse has no spec and no ledger" in out
