"""What a sweep in an allocation does with its time, and when it is queued again.

Tests `tune.launch.allocation` and `tune.commands.launch`; shell scripts stand in for Slurm.
"""

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.allocations import JOB, Programs, write_run
from tests.support.sweeps import new_sweep, small_spec, train
from tune.__main__ import main
from tune.commands import launch as commands
from tune.launch import allocation, node, ray_nodes
from tune.launch.errors import LaunchError, NotStartedError
from tune.launch.job import SlurmJob
from tune.launch.preflight import NodeFacts
from tune.run.directory import RUNS
from tune.run.events import SweepStopped
from tune.run.ledger import Ledger
from tune.session.status import STOP_REASON


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a shell script with a name of Slurm's first on the path."""
    return Programs(tmp_path, monkeypatch)


# The sweep itself.


DRIVER = """
import os, signal, sys, time
from pathlib import Path
Path("told").write_text(" ".join(sys.argv[1:]) + " " + os.environ["RAY_ADDRESS"])
def stop(*_):
    Path("stopped").touch()
    time.sleep(float(os.environ.get("STOPPING_SECONDS", "0")))
    sys.exit(int(os.environ.get("STOPPED_CODE", "130")))
signal.signal(signal.SIGTERM, stop)
Path("ready").touch()
time.sleep(float(os.environ.get("DRIVER_SECONDS", "30")))
sys.exit(int(os.environ.get("DRIVER_CODE", "0")))
"""


@pytest.fixture
def driver(program, monkeypatch, tmp_path):  # noqa: ARG001
    """A driver that sleeps, what its deadline says, and whether its Ray was told to end."""
    (tmp_path / "driver.py").write_text(DRIVER)
    monkeypatch.setattr(allocation, "TUNE", (sys.executable, str(tmp_path / "driver.py")))
    return SimpleNamespace(leave=lambda: False, seconds_left=lambda: 60.0, ended=[])


def drive(driver):
    ray = SimpleNamespace(address="n7:12000", end=lambda: driver.ended.append(1))
    return allocation._drive(ray, ["a b.yaml", "--set", "x=1"], driver)


@pytest.mark.parametrize("code", [0, 3])
def test_a_sweep_that_ends_by_itself_gives_its_exit_code(driver, monkeypatch, tmp_path, code):
    monkeypatch.setenv("DRIVER_SECONDS", "0")
    monkeypatch.setenv("DRIVER_CODE", str(code))
    assert drive(driver) == (code, False)
    assert (tmp_path / "told").read_text() == "launch sweep a b.yaml --set x=1 n7:12000"


def test_a_sweep_is_told_to_stop_when_it_is_time_to_leave(driver, tmp_path):
    driver.leave = (tmp_path / "ready").exists
    assert drive(driver) == (130, True)
    assert (tmp_path / "stopped").exists()


def test_a_sweep_that_finishes_although_it_was_told_to_stop_is_not_queued_again(
    driver, monkeypatch, tmp_path
):
    monkeypatch.setenv("STOPPED_CODE", "0")
    driver.leave = (tmp_path / "ready").exists
    assert drive(driver) == (0, False)


def test_a_sweep_that_does_not_stop_in_time_loses_its_ray_and_is_killed_at_last(
    driver, monkeypatch, tmp_path
):
    monkeypatch.setenv("STOPPING_SECONDS", "30")
    driver.leave = (tmp_path / "ready").exists

    def seconds_left():
        if driver.ended:
            return 3.9
        return 13.9 if (tmp_path / "stopped").exists() else 14.1

    driver.seconds_left = seconds_left
    assert drive(driver) == (-signal.SIGKILL, True)
    assert driver.ended


def test_a_job_that_is_cancelled_stops_and_is_not_queued_again_though_its_time_is_up(
    driver, monkeypatch, tmp_path
):
    cancelled = allocation._cancelled

    def leave():
        if (tmp_path / "ready").exists():
            cancelled.set()
            driver.leave = lambda: True
        return False

    monkeypatch.setenv("STOPPING_SECONDS", "0.8")
    driver.leave = leave
    assert drive(driver) == (130, False)
    assert driver.ended == [], "epochs have time to end"


def test_a_sweep_whose_time_is_up_may_end_its_epochs_while_there_is_time_to_close_the_run(
    driver, monkeypatch, tmp_path
):
    monkeypatch.setattr(allocation, "_EPOCH_SECONDS", 0.1)
    monkeypatch.setenv("STOPPING_SECONDS", "0.8")
    driver.leave = (tmp_path / "ready").exists
    assert drive(driver) == (130, True)
    assert driver.ended == [], "a preempted job has no such time"


def test_a_sweep_that_closes_its_run_without_ray_is_not_killed(driver, monkeypatch, tmp_path):
    monkeypatch.setenv("STOPPING_SECONDS", "0.8")
    driver.leave = (tmp_path / "ready").exists
    driver.seconds_left = lambda: 13.9 if (tmp_path / "stopped").exists() else 60.0
    assert drive(driver) == (130, True)
    assert driver.ended


@pytest.mark.parametrize(("fact", "requeued"), [("_cancelled", False), ("_must_leave", True)])
def test_a_job_that_must_leave_does_not_wait_for_long_epochs(
    driver, monkeypatch, tmp_path, fact, requeued
):
    def leave():
        if (tmp_path / "ready").exists():
            getattr(allocation, fact).set()
        return False

    driver.leave = leave
    monkeypatch.setattr(allocation, "_EPOCH_SECONDS", 0.3)
    monkeypatch.setenv("STOPPING_SECONDS", "0.8")
    assert drive(driver) == (130, requeued)
    assert driver.ended


@pytest.fixture
def job(program, monkeypatch):  # noqa: ARG001
    """The job that this process belongs to; signals are heard as before after the test."""
    job = SimpleNamespace(id=JOB, called=[], end=lambda: None)
    job.goes_on = job.was_told_to_leave = job.is_cancelled = job.is_out_of_time = lambda: False
    job.queue_again = lambda: job.called.append("again")
    monkeypatch.setattr(SlurmJob, "here", lambda: job)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "TUNE_BATCH_PROCESS"):
        monkeypatch.setenv(name, "before")
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGUSR1, signal.SIGTERM)}
    yield job
    for kind, handler in before.items():
        signal.signal(kind, handler)


def stand_in(
    monkeypatch, job, *, epochs=(0, 5), check=lambda: None, start=lambda: None,
    drive=lambda: (130, True),
):  # fmt: skip
    """Let functions take the place of what a job does on its nodes."""
    counts = iter(epochs)

    @contextmanager
    def ray(_job, log, is_ending, is_late):
        assert (str(log), is_ending(), is_late()) == (f"small-{JOB}", False, False)
        start()
        yield "ray"

    for name, stand_in in {
        "check_nodes": lambda _job: check(),
        "ray_on": ray,
        "_epochs_trained": lambda _run: next(counts),
        "_drive": lambda ray, words, _deadline: job.called.append((ray, words)) or drive(),
    }.items():
        monkeypatch.setattr(allocation, name, stand_in)


@pytest.mark.parametrize(
    ("after", "left", "queued"), [(5, True, True), (0, True, None), (0, False, False)]
)
def test_a_job_is_queued_again_where_time_was_up_and_an_epoch_was_trained(
    job, monkeypatch, after, left, queued, capsys
):
    stand_in(monkeypatch, job, epochs=(0, after), drive=lambda: (130, left))
    if queued is None:
        message = "no trial has finished an epoch in this allocation"
        with pytest.raises(LaunchError, match=message):
            allocation.run_in_allocation("small", ["a.yaml"])
        assert job.called == [("ray", ["a.yaml"])]
        return
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called == [("ray", ["a.yaml"]), *(["again"] if queued else [])]
    assert ("queued again as job 4711" in capsys.readouterr().out) is queued
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert RUNS.is_dir()


def test_a_job_whose_user_has_asked_to_stop_is_not_queued_again_though_its_time_is_up(
    job, monkeypatch, capsys
):
    stand_in(monkeypatch, job)
    with Ledger(write_run([])) as ledger:
        ledger.append(SweepStopped(reason=STOP_REASON, time=1.0))
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called == [("ray", ["a.yaml"])]
    told = f"small: stopped as asked, so job {JOB} is not queued again\n"
    assert capsys.readouterr().out == told


CANCELLED = f"small: job {JOB} was cancelled, so it is not queued again\n"


def test_a_job_that_is_cancelled_while_it_leaves_is_not_queued_again(job, monkeypatch, capsys):
    def drive():
        os.kill(os.getpid(), signal.SIGTERM)
        return 130, True

    stand_in(monkeypatch, job, drive=drive)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called == [("ray", ["a.yaml"])]
    assert capsys.readouterr().out == CANCELLED


def test_a_job_that_is_cancelled_in_its_grace_time_is_not_queued_again(job, monkeypatch, capsys):
    def drive():
        os.kill(os.getpid(), signal.SIGTERM)
        job.goes_on, job.is_cancelled = lambda: False, lambda: True
        return 130, True

    job.goes_on = lambda: True
    stand_in(monkeypatch, job, drive=drive)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called == [("ray", ["a.yaml"])]
    assert capsys.readouterr().out == CANCELLED


def test_what_fails_because_the_job_is_cancelled_is_no_error(job, monkeypatch, capsys):
    def check():
        os.kill(os.getpid(), signal.SIGTERM)
        raise LaunchError("n7 cannot run this program")

    stand_in(monkeypatch, job, check=check)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert capsys.readouterr().out == CANCELLED


def not_started():
    raise NotStartedError("Ray had not started on n3")


@pytest.mark.parametrize(
    ("epochs", "restarts", "queued"), [(0, 0, True), (7, 3, True), (0, 1, False)]
)
def test_a_job_whose_time_is_up_before_ray_has_started_goes_on_unless_that_never_helps(
    job, monkeypatch, capsys, epochs, restarts, queued
):
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    stand_in(monkeypatch, job, epochs=(epochs, epochs), start=not_started)
    if not queued:
        message = "Ray has not started in this allocation, .* longer --time to continue small"
        with pytest.raises(LaunchError, match=message):
            allocation.run_in_allocation("small", ["a.yaml"])
        assert job.called == []
        return
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called == ["again"]
    told = f"small: the allocation ends before Ray has started; queued again as job {JOB}\n"
    assert capsys.readouterr().out == told


def test_nodes_are_waited_for_until_the_job_must_leave(job, monkeypatch):
    @contextmanager
    def ray(_job, _log, is_ending, is_late):
        assert (is_ending(), is_late()) == (False, True)
        not_started()
        yield

    stand_in(monkeypatch, job, epochs=(0, 0))
    monkeypatch.setattr(allocation, "ray_on", ray)
    deadline = SimpleNamespace(signal=lambda: None, leave=lambda: True)
    monkeypatch.setattr(allocation, "Deadline", lambda _end, _run: deadline)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called == ["again"]


@pytest.mark.parametrize("starts", [False, True])
def test_a_job_that_slurm_ends_at_its_time_limit_is_queued_again(job, monkeypatch, capsys, starts):
    def end():
        os.kill(os.getpid(), signal.SIGTERM)
        if not starts:
            raise LaunchError("n7: srun: Job step aborted")
        return 130, True

    job.goes_on = job.is_out_of_time = lambda: True
    where = {"drive" if starts else "start": end}
    stand_in(monkeypatch, job, epochs=(0, 5 if starts else 0), **where)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called[-1] == "again"
    why = "the allocation ends" if starts else "the allocation ends before Ray has started"
    assert capsys.readouterr().out == f"small: {why}; queued again as job {JOB}\n"


def test_a_job_that_is_cancelled_before_ray_has_started_is_not_queued_again(
    job, monkeypatch, capsys
):
    def start():
        os.kill(os.getpid(), signal.SIGTERM)
        not_started()

    stand_in(monkeypatch, job, start=start)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called == []
    assert capsys.readouterr().out == CANCELLED


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_that_is_preempted_is_queued_again_though_no_epoch_was_trained(
    job, monkeypatch, capsys, fails
):
    def end():
        assert os.environ["TUNE_BATCH_PROCESS"] == str(os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)
        job.goes_on = lambda: False
        os.kill(os.getpid(), signal.SIGTERM)
        if fails:
            raise LaunchError("n7: Ray did not start")
        return 130, True

    job.goes_on = lambda: True
    where = {"check": end} if fails else {"drive": end}
    stand_in(monkeypatch, job, epochs=(5, 5), **where)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called[-1] == "again"
    assert capsys.readouterr().out == "small: the job is preempted; queued again as job 4711\n"


def test_a_job_is_queued_again_though_slurm_tells_late_that_it_is_preempted(job, monkeypatch):
    def drive():
        os.kill(os.getpid(), signal.SIGTERM)
        job.goes_on = lambda: True
        return 130, False

    stand_in(monkeypatch, job, epochs=(5, 5), drive=drive)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called[-1] == "again"


def test_a_sweep_that_ended_before_a_preemption_is_not_queued_again(job, monkeypatch, capsys):
    def drive():
        os.kill(os.getpid(), signal.SIGTERM)
        job.goes_on = lambda: True
        return 0, False

    stand_in(monkeypatch, job, drive=drive)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 0
    assert job.called == [("ray", ["a.yaml"])]
    assert capsys.readouterr().out == ""


def test_a_job_that_leaves_because_its_end_was_moved_is_preempted(job, monkeypatch, capsys):
    stand_in(monkeypatch, job, epochs=(5, 5))
    job.was_told_to_leave = lambda: True
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert job.called[-1] == "again"
    assert "the job is preempted" in capsys.readouterr().out


def test_a_preempted_job_whose_end_is_over_still_closes_its_run(driver, monkeypatch, tmp_path):
    monkeypatch.setenv("STOPPING_SECONDS", "0.5")

    def leave():
        if (tmp_path / "ready").exists():
            allocation._must_leave.set()
            driver.seconds_left = lambda: -5.0
        return False

    driver.leave = leave
    assert drive(driver) == (130, True)


def test_the_signal_of_slurm_reaches_the_deadline(job, monkeypatch):
    def drive():
        os.kill(os.getpid(), signal.SIGUSR1)
        return 0, False

    heard = []
    stand_in(monkeypatch, job, drive=drive)
    deadline = SimpleNamespace(signal=lambda: heard.append(1), leave=lambda: False)
    monkeypatch.setattr(allocation, "Deadline", lambda _end, _run: deadline)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 0
    assert heard == [1]


def test_a_driver_that_is_killed_is_told_by_its_signal(job, monkeypatch):
    stand_in(monkeypatch, job, drive=lambda: (-signal.SIGKILL, False))
    with pytest.raises(LaunchError, match="the driver of small was ended by SIGKILL; submit"):
        allocation.run_in_allocation("small", ["a.yaml"])


@pytest.mark.parametrize(
    ("other", "state", "refused"),
    [("17", "RUNNING", True), ("17", "", False), (JOB, "RUNNING", False), (None, "RUNNING", False)],
)
def test_a_run_that_another_job_works_on_is_refused(
    job, monkeypatch, program, other, state, refused
):
    stand_in(monkeypatch, job, drive=lambda: (0, False))
    program("squeue", f"echo {state}")
    holder = {"host": "n9", "pid": 7, **({} if other is None else {"job": other})}
    monkeypatch.setattr("tune.launch.job.holder_of", lambda _run: holder)
    if not refused:
        assert allocation.run_in_allocation("small", ["a.yaml"]) == 0
        return
    message = r"runs/small is running already, in process 7 on n9 \(Slurm job 17\); .*`scancel 17`"
    with pytest.raises(LaunchError, match=message):
        allocation.run_in_allocation("small", ["a.yaml"])
    assert job.called == []


@pytest.mark.usefixtures("program")
def test_epochs_of_all_trials_are_counted():
    assert allocation._epochs_trained(RUNS / "small") == 0
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    train(sweep, 0.5, 0.6)
    train(sweep, 0.5)
    assert allocation._epochs_trained(write_run(ledger)) == 3


# What the scripts call.


@pytest.fixture
def replaced(monkeypatch):
    """The commands that took the place of this process."""
    replaced = []
    monkeypatch.setattr(commands.os, "execv", lambda _program, words: replaced.append(words))
    return replaced


def call(*words):
    return main(["launch", *words])


@pytest.mark.usefixtures("program")
def test_a_sweep_is_begun_and_then_gone_on_with(replaced, monkeypatch):
    monkeypatch.setattr(commands.time, "sleep", lambda _seconds: None)
    spec = Path("my spec.yaml")
    spec.write_text(small_spec().to_yaml())
    words = ["--data", "my faces", "--set", "retries=7"]
    call("sweep", str(spec), *words)
    python = [sys.executable, "-m", "tune"]
    assert replaced.pop() == [*python, "run", "my spec.yaml", *words]
    write_run([])
    held = iter([{"pid": 1}, {"pid": 1}, None])
    monkeypatch.setattr("tune.run.lease.holder_of", lambda _run: next(held))
    call("sweep", str(spec), *words)
    assert replaced.pop() == [*python, "resume", "runs/small", "--data", "my faces"]
    assert list(held) == []


@pytest.mark.usefixtures("program")
def test_a_lease_is_not_waited_for_for_ever(monkeypatch):
    now = 100.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(commands, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    monkeypatch.setattr("tune.run.lease.holder_of", lambda _run: {"pid": 1})
    commands._wait_for_lease(RUNS / "small")
    assert now == 100.0 + 90.0


@pytest.mark.usefixtures("program")
def test_a_node_writes_its_own_mark(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert call("check", "--mark", str(tmp_path / "mark-")) == 0
    assert (tmp_path / "mark-3").exists()
    assert NodeFacts.from_json(capsys.readouterr().out).gpus == 0


def test_an_allocation_that_trains_no_further_epoch_is_in_vain(job, monkeypatch):
    stand_in(monkeypatch, job, epochs=(7, 7))
    with pytest.raises(LaunchError, match="no trial has finished an epoch in"):
        allocation.run_in_allocation("small", ["a.yaml"])


def test_a_driver_that_crashes_is_told_by_its_own_signal(job, monkeypatch):
    stand_in(monkeypatch, job, drive=lambda: (-signal.SIGSEGV, False))
    with pytest.raises(LaunchError, match="the driver of small was ended by SIGSEGV; submit"):
        allocation.run_in_allocation("small", ["a.yaml"])


def test_a_cancelled_job_is_closed_within_the_half_minute_that_slurm_gives_it():
    assert allocation._EPOCH_SECONDS == 5.0
    # Epochs may end, then all nodes leave; each step is over before the next must begin.
    assert allocation._EPOCH_SECONDS + ray_nodes._STOP_SECONDS == 20.0 <= node._LEAVE_SECONDS < 30.0
    assert (allocation._CLOSE_SECONDS, allocation._KILL_SECONDS) == (14.0, 4.0)


@pytest.mark.usefixtures("program")
def test_a_node_counts_its_gpus_where_it_is_asked_to(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setattr("tune.launch.preflight._count_gpus", lambda: 2)
    assert call("check", "--mark", str(tmp_path / "mark-"), "--gpus") == 0
    assert NodeFacts.from_json(capsys.readouterr().out).gpus == 2


def test_a_node_is_told_where_the_head_is_and_which_gpus_are_ours(monkeypatch):
    asked = []
    monkeypatch.setattr(node, "become_ray_node", lambda *words, **gpus: asked.append((words, gpus)))
    assert call("node", "--address", "n7:12010", "--gpus", "2") == 0
    assert call("node", "--address", "n7:12010") == 0
    assert asked == [(("n7:12010",), {"gpus": 2}), (("n7:12010",), {"gpus": 0})]


@pytest.mark.usefixtures("program")
def test_an_allocation_is_given_the_name_of_the_run_and_all_options(monkeypatch):
    asked = []
    monkeypatch.setattr(allocation, "run_in_allocation", lambda *words: asked.append(words) or 130)
    Path("my spec.yaml").write_text(small_spec().to_yaml())
    words = ["my spec.yaml", "--data", "my faces", "--set", "retries=7"]
    assert call("allocation", *words) == 130
    assert call("allocation", *words, "--name", "mine") == 130
    named = [*words[:3], "--name", "mine", *words[3:]]
    assert asked == [("small", words), ("mine", named)]
