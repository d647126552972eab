"""What a person sees while a sweep runs and when it ends."""

import io

import pytest
from rich.console import Console

from tests.support.sweeps import LOSS, TWO_EPOCHS, new_sweep, play, small_spec, train
from tune.commands.list import print_runs
from tune.commands.outcome import close, last_line
from tune.commands.plan import _size
from tune.session.progress import Progress, clock, explain
from tune.session.status import list_runs
from tune.sweep.bundle import Fusing


def shown(sweep):
    file = io.StringIO()
    return Progress(sweep, Console(file=file, width=200)), file


def test_each_trial_that_ends_is_printed_once_with_its_figures():
    sweep, _ = new_sweep(small_spec(**LOSS, **TWO_EPOCHS, scheduler={"name": "none"}))
    before = train(sweep, 0.1, 0.2)
    progress, file = shown(sweep)
    with progress:
        trial = train(sweep, 0.6, 0.5, seconds=7.25)
        progress.update(force=True)
        progress.update(force=True)
        failed = train(sweep, 0.3)
        sweep.fail(failed.id, "broke")
        progress.tell("by the way")
    lines = file.getvalue().splitlines()
    assert lines == [
        f"[2/12] {trial.name} seed 3  COMPLETED  val_loss 0.4000  2 epochs in 14 s",
        "by the way",
        f"[3/12] {failed.name} seed 3  FAILED  val_loss 0.7000  1 epoch in 0 s  (broke)",
    ]
    assert before.name not in file.getvalue()


def test_the_headline_counts_trials_and_estimates_the_time_left(monkeypatch):
    sweep, _ = new_sweep(small_spec(**LOSS, **TWO_EPOCHS, scheduler={"name": "none"}))
    train(sweep, 0.1, 0.2)
    now = 50.0
    monkeypatch.setattr("tune.session.progress.time.monotonic", lambda: now)
    progress, _ = shown(sweep)
    best = train(sweep, 0.6, 0.5)
    train(sweep, 0.4, 0.3)
    train(sweep, 0.4)
    progress.update(force=True)
    now += 3700.0
    # Two of the twelve have ended in that time and nine are left.
    assert progress.headline() == (
        f"3 completed · 1 running · of 12 · best 0.4000 {best.name} · 1:01:40 elapsed · "
        "about 4:37:30 left"
    )
    sweep.stop("stopped by SIGINT")
    assert progress.headline().endswith(" · stopping: stopped by SIGINT")


def test_a_decision_on_training_as_one_is_told_once():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    trials = [sweep.next_trial() for _ in range(2)]
    progress, file = shown(sweep)
    fusing = Fusing(trials=tuple(one.id for one in trials), fused=False, gain=0.756)
    sweep.decide_fusing(fusing)
    for _ in range(2):
        progress.update(force=True)
    told = (
        f"2 trials of {trials[0].name} are trained separately: fused training is 0.76 times as fast"
    )
    assert file.getvalue().splitlines() == [told] == [explain(fusing, trials[0].name)]
    later, file = shown(sweep)
    later.update(force=True)
    assert file.getvalue() == "", "an earlier session has told it"


def test_a_line_stays_one_however_narrow_the_terminal():
    sweep, _ = new_sweep(small_spec())
    file = io.StringIO()
    words = "2 trials of B16_N4_FC1_K3_AP6_W128 are trained separately: it would not be faster"
    Progress(sweep, Console(file=file, width=30)).tell(words)
    assert file.getvalue() == f"{words}\n"


def test_a_terminal_shows_each_trial_that_runs_with_its_last_and_its_best_figure():
    sweep, _ = new_sweep(small_spec(**LOSS, scheduler={"name": "none"}))
    running, new = train(sweep, 0.125, 0.75, 0.5, images_per_second=1234.5), train(sweep)
    sweep.fail(train(sweep, 0.9).id, "broke")
    sweep.next_trial()  # No worker has started it.
    file = io.StringIO()
    with Progress(sweep, Console(file=file, width=200, force_terminal=True, no_color=True)):
        pass
    lines = file.getvalue().splitlines()
    rows = [line.split() for line in lines if line.split()[1:3] == ["seed", "3"]]
    assert [running.name, "seed", "3", "3/9", "0.5000", "0.2500", "1234"] in rows
    assert [new.name, "seed", "3", "0/9", "–", "–", "–"] in rows
    assert {row[0] for row in rows} == {running.name, new.name}


def test_a_best_figure_of_zero_is_shown():
    sweep, _ = new_sweep(small_spec(**LOSS, scheduler={"name": "none"}))
    trial = train(sweep, 1.0, images_per_second=0.0)
    file = io.StringIO()
    with Progress(sweep, Console(file=file, width=200, force_terminal=True, no_color=True)):
        pass
    row = [trial.name, "seed", "3", "1/9", "0.0000", "0.0000", "0"]
    assert row in [line.split() for line in file.getvalue().splitlines()]


def test_a_quick_look_is_not_drawn(monkeypatch):
    now = 50.0
    monkeypatch.setattr("tune.session.progress.time.monotonic", lambda: now)
    sweep, _ = new_sweep(small_spec(**TWO_EPOCHS))
    progress, file = shown(sweep)
    progress.update()
    train(sweep, 0.5, 0.5)
    now += 0.4
    progress.update()
    assert file.getvalue() == ""
    now += 0.2
    progress.update()
    assert "[1/12]" in file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3600, "1:00:00"),
     (36_061, "10:01:01")],
)  # fmt: skip
def test_a_time_is_written_in_hours_minutes_and_seconds(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 B"), (1000, "1 kB"), (1_234_567, "1.23 MB"), (5e9, "5 GB"), (2.5e12, "2.5 TB"),
     (7e15, "7e+03 TB")],
)  # fmt: skip
def test_a_size_is_written_in_units_of_a_thousand(count, text):
    assert _size(count) == text


def test_the_last_line_names_the_best_trial_and_how_to_go_on(tmp_path):
    sweep, _ = new_sweep(small_spec(**LOSS, **TWO_EPOCHS, scheduler={"name": "none"}))
    best = train(sweep, 0.25, 0.625)
    failed = train(sweep, 0.9)
    sweep.fail(failed.id, "broke")
    sweep.stop("stopped by SIGTERM")
    line = last_line(tmp_path, sweep)
    assert line.startswith(
        f"{tmp_path}: 1 completed, 1 failed; best val_loss 0.3750 by {best.name}; "
    )
    assert line.endswith(
        f" s; stopped by SIGTERM; continue with `python -m tune resume {tmp_path}`"
    )
    sweep.stopping = None
    play(sweep)
    assert last_line(tmp_path, sweep).startswith(f"{tmp_path}: 11 completed, 1 failed; best ")
    again = f"`python -m tune resume {tmp_path} --retry-failed` trains failed trials again"
    assert last_line(tmp_path, sweep).endswith(f" s; {again}")
    empty, _ = new_sweep(small_spec())
    assert last_line(tmp_path, empty).startswith(f"{tmp_path}: no trials; ")


def test_the_list_of_runs_tells_hours_and_device_hours(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status = {
        "name": "night", "finished": False, "running": True, "expected_trials": 12,
        "trials": {"COMPLETED": 3, "RUNNING": 1}, "seconds": 5400.0, "device_seconds": 900.0,
        "silence": "",
        "best": {"metric": "val_loss", "value": 0.25, "name": "B4"},
    }  # fmt: skip
    done = {**status, "name": "done", "finished": True, "best": None}
    idle = {**status, "name": "idle", "running": False}
    print_runs([status, done, idle])
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split() for row in rows[:3]] == [
        ["night", "running", "3", "completed", "1", "running", "of", "12", "val_loss", "0.2500",
         "B4", "1.50", "0.25"],
        ["done", "finished", "3", "completed", "1", "running", "of", "12", "–", "1.50", "0.25"],
        ["idle", "stopped", "3", "completed", "1", "running", "of", "12", "val_loss", "0.2500",
         "B4", "1.50", "0.25"],
    ]  # fmt: skip
    assert list_runs(tmp_path) == []


def test_a_terminal_shows_no_more_than_sixteen_trials():
    spec = small_spec(
        scheduler={"name": "none"}, space={"weight_decay": [n / 100 for n in range(20)]}
    )
    sweep, _ = new_sweep(spec)
    for _ in range(18):
        train(sweep)
    file = io.StringIO()
    with Progress(sweep, Console(file=file, width=200, force_terminal=True, no_color=True)):
        pass
    # The cursor goes up over a table that is drawn anew.
    last = file.getvalue().rpartition("pictures/s")[2]
    assert last.count("0/9") == 16


def test_a_budget_that_is_spent_leaves_what_has_not_ended_untrained(tmp_path, capsys):
    sweep, _ = new_sweep(small_spec(**TWO_EPOCHS, scheduler={"name": "none"}))
    train(sweep, 0.5)
    sweep.stop("the budget is spent", as_designed=True)
    assert close(tmp_path, sweep) == 3, "no trial is whole"
    assert "; the budget is spent, and 12 trials are left untrained; " in capsys.readouterr().out
    sweep, _ = new_sweep(small_spec(**TWO_EPOCHS, scheduler={"name": "none"}))
    train(sweep, 0.5, 0.6)
    train(sweep, 0.5)
    sweep.stop("the budget is spent", as_designed=True)
    assert close(tmp_path, sweep) == 0
    assert "; the budget is spent, and 11 trials are left untrained; " in capsys.readouterr().out
    sweep, _ = new_sweep(small_spec(**TWO_EPOCHS, scheduler={"name": "none"}))
    train(sweep, 0.5, 0.6)
    sweep.stop("stopped by SIGTERM")
    assert close(tmp_path, sweep) == 130
