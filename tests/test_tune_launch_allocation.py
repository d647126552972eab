"""What an allocation makes of its nodes and its time; shell scripts stand in for Slurm.

Tests `tune.commands.launch` and, in `tune.launch`, `allocation`, `ask_nodes`, `deadline`, `job`,
`preflight` and `ray_nodes`.
"""

import json
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.sweeps import figures, new_sweep, small_spec, train
from tune.__main__ import main
from tune.commands import launch as commands
from tune.launch import allocation, ask_nodes, deadline, ray_nodes
from tune.launch.errors import LaunchError
from tune.launch.job import TUNE, SlurmJob
from tune.launch.preflight import NodeFacts, look, token_fingerprint
from tune.launch.ray_nodes import RayNodes
from tune.run.directory import LEDGER_FILE, RUNS
from tune.run.events import SweepStopped
from tune.run.ledger import Ledger
from tune.session.run_directory import write_spec
from tune.session.status import STOP_REASON

JOB = "4711"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a shell script with a name of Slurm's first on the path."""
    folder = tmp_path / "slurm programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)

    def write(name, body):
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/asked"\n{body}\n')
        path.chmod(0o755)

    monkeypatch.setattr(allocation, "_cancelled", threading.Event())
    write.asked = lambda: (tmp_path / "asked").read_text().splitlines()
    for name in (
        "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_GPUS_PER_NODE", "SLURM_CPUS_PER_TASK",
        "SLURM_GPUS_ON_NODE", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES",
        "RAY_AUTH_TOKEN", "RAY_AUTH_MODE",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    return write


def job_of(**changes):
    values = {"id": JOB, "nodes": ("n7", "n3"), "gpus": 2, "cpus": "16"}
    return SlurmJob(**{**values, **changes})


@pytest.mark.parametrize(
    ("given", "gpus"), [(None, 0), ("4", 4), ("a100:4,v100:2", 6), ("gpu:a100:2", 2)]
)
def test_a_job_is_read_from_what_slurm_says(program, monkeypatch, given, gpus):
    with pytest.raises(LaunchError, match="this is not inside a Slurm job"):
        SlurmJob.here()
    program("scontrol", "echo n7; echo n3")
    monkeypatch.setenv("SLURM_JOB_ID", JOB)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[7,3]")
    if given:
        monkeypatch.setenv("SLURM_GPUS_PER_NODE", given)
    assert SlurmJob.here() == job_of(gpus=gpus, cpus=None)
    assert program.asked() == ["scontrol show hostnames n[7,3]"]
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "16")
    assert SlurmJob.here().cpus == "16"


@pytest.mark.parametrize(
    ("variables", "gpus"),
    [
        ({"SLURM_GPUS_ON_NODE": "2"}, 2),
        ({"SLURM_GPUS_ON_NODE": "a100:3", "CUDA_VISIBLE_DEVICES": "0"}, 3),
        ({"SLURM_JOB_GPUS": "0-2,5"}, 4),
        ({"CUDA_VISIBLE_DEVICES": "1,3"}, 2),
        ({"CUDA_VISIBLE_DEVICES": ""}, 0),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, 0),
        ({"SLURM_GPUS_PER_NODE": "1", "SLURM_GPUS_ON_NODE": "4"}, 1),
    ],
)
def test_gpus_are_seen_however_they_were_asked_for(program, monkeypatch, variables, gpus):
    program("scontrol", "echo n7; echo n3")
    monkeypatch.setenv("SLURM_JOB_ID", JOB)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[7,3]")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert SlurmJob.here().gpus == gpus


def test_the_end_of_a_job_is_in_local_time_and_unknown_where_slurm_does_not_say(
    program, monkeypatch
):
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    program("squeue", "test $SLURM_TIME_FORMAT = standard && echo 2031-05-06T07:08:09")
    assert job_of().end() == datetime(2031, 5, 6, 7, 8, 9).timestamp()
    assert program.asked() == [f"squeue --noheader --job {JOB} --format %e"]
    program("squeue", "echo N/A")
    assert job_of().end() is None
    program("squeue", "exit 1")
    assert job_of().end() is None
    assert job_of().nodes_left() == ()
    monkeypatch.setattr("tune.launch.job._ANSWER_SECONDS", 0.1)
    program("squeue", "exec sleep 5")
    assert job_of().end() is None
    assert job_of().nodes_left() == ()


def test_the_nodes_that_are_left_are_those_that_slurm_still_has(program):
    program("squeue", "echo n[3]")
    program("scontrol", "echo n3")
    assert job_of().nodes_left() == ("n3",)
    assert program.asked() == [
        f"squeue --noheader --job {JOB} --format %N", "scontrol show hostnames n[3]",
    ]  # fmt: skip


def test_a_command_is_run_once_on_every_node():
    words = job_of().on_each_node(["a", "b c"], "--label")
    assert words == [
        "srun", "--nodes", "2", "--ntasks-per-node=1", "--export=ALL", "--cpus-per-task=16",
        "--label", "a", "b c",
    ]  # fmt: skip
    assert "--cpus-per-task=None" not in job_of(cpus=None).on_each_node(["a"])
    assert job_of(cpus=None).on_each_node(["a"])[4:] == ["--export=ALL", "a"]


def test_a_job_is_queued_again_or_says_why_not(program):
    program("scontrol", "")
    job_of().queue_again()
    assert program.asked() == [f"scontrol requeue Incomplete {JOB}"]
    program("scontrol", "echo 'not\n allowed' >&2; exit 1")
    with pytest.raises(LaunchError, match=rf"does not queue job {JOB} again: not allowed; "):
        job_of().queue_again()


# The preflight.


FACTS = NodeFacts(versions={"Python": "3.12.1"}, gpus=2, token="t", unwritable="")


def test_each_node_is_asked_and_its_answer_is_told_apart(program):
    program("srun", 'echo "1: late"; echo "0: first"; echo " 0: second"; echo "noise"; '
                    'echo "1: broke: no" >&2; echo "x: y"')  # fmt: skip
    assert ask_nodes._ask_each(job_of(), ["look"]) == [
        ("first\nsecond\n", ""), ("late\n", "broke: no\n"),
    ]  # fmt: skip
    assert program.asked()[0].endswith(" --label --kill-on-bad-exit=0 look")


def test_nodes_that_do_not_answer_in_time_are_told_apart_from_those_that_do(program, monkeypatch):
    monkeypatch.setattr(ask_nodes, "_LOOK_SECONDS", 0.3)
    program("srun", 'echo "1: here"; exec sleep 5')
    assert ask_nodes._ask_each(job_of(), ["look"]) == [("", ""), ("here\n", "")]


@pytest.mark.parametrize(
    ("out", "errors", "said"),
    [
        (f"noise\n{FACTS.to_json()}\n", "a warning\n", []),
        ("", "Traceback\nImportError: no torch\n",
         ["n7 cannot run this program: ImportError: no torch"]),
        ("", "", ["n7 cannot run this program: no answer within 120 seconds"]),
        ('{"gpus": 2}\n', "", ["n7 cannot run this program: no answer within 120 seconds"]),
    ],
)  # fmt: skip
def test_a_node_is_judged_by_the_last_line_of_its_answer(tmp_path, out, errors, said):
    mark = tmp_path / "mark"
    mark.touch()
    assert list(ask_nodes._judge(job_of(), "n7", (out, errors), FACTS, mark)) == said


def test_a_preflight_names_each_bad_node_and_leaves_no_marks(program, monkeypatch):
    RUNS.mkdir()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    answer = look(RUNS / "mine", gpus=False).to_json()
    other = json.loads(answer)
    other["gpus"] = 1
    program(
        "srun",
        f"touch 'runs/.{JOB}-0'\necho '0: {answer}'\necho '1: {json.dumps(other)}'",
    )
    with pytest.raises(LaunchError) as refused:
        ask_nodes.check_nodes(job_of(gpus=1))
    told = str(refused.value).split("; ")
    assert told[0] == "n7 has 0 GPUs that torch sees, but 1 were asked for"
    assert told[1].startswith("n3 writes to a ")
    assert [path.name for path in RUNS.iterdir()] == ["mine"]
    assert program.asked()[0].endswith(f"-m tune launch check --mark runs/.{JOB}- --gpus")
    program(
        "srun", f"touch 'runs/.{JOB}-0' 'runs/.{JOB}-1'; echo '0: {answer}'; echo '1: {answer}'"
    )
    ask_nodes.check_nodes(job_of(gpus=0))
    assert not program.asked()[1].endswith("--gpus")


def test_a_node_says_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    facts = look(tmp_path / "mark", gpus=False)
    assert (tmp_path / "mark").exists()
    assert (facts.gpus, facts.unwritable) == (0, "")
    assert facts.token == token_fingerprint("secret") != token_fingerprint("other")
    assert "secret" not in facts.to_json()
    assert facts.versions["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(facts.versions) == {"Python", "ray", "torch"}
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    facts = look(tmp_path / "nowhere" / "mark", gpus=True)
    assert (facts.token, facts.gpus, facts.unwritable) == ("", 3, "No such file or directory")


# Ray's ports and nodes.


def test_each_job_has_two_ports_of_its_own():
    port = ray_nodes._free_port(5)
    assert 12_010 <= port < 32_000
    assert port % 2 == 0
    assert ray_nodes._free_port(5 + 10_000) == port
    for taken in (port, port + 1):
        with socket.socket() as server:
            server.bind(("", taken))
            assert ray_nodes._free_port(5) > port + 1


def wait_for_nodes(job, step, log, give_up=lambda: False):
    ray_nodes._wait_for_nodes(job, RayNodes(address="a:1", step=step), log, give_up)


def test_nodes_that_do_not_join_are_named_with_the_last_line_of_their_log(tmp_path, monkeypatch):
    log = tmp_path / "small-4711"
    (tmp_path / "small-4711-1.log").write_text("start\nno space left\n\n")
    step = SimpleNamespace(poll=lambda: None, stderr=None)
    monkeypatch.setattr(ray_nodes, "_JOIN_SECONDS", 0.0)
    monkeypatch.setattr(ray_nodes, "_joined", lambda _address: {"n9"})
    job = job_of(nodes=("n7", "n3"))
    with pytest.raises(LaunchError) as refused:
        wait_for_nodes(job, step, log)
    assert str(refused.value) == (
        "n7: Ray did not start within 0 seconds; "
        f"n3: no space left (all of it in {tmp_path}/small-4711-1.log)"
    )
    monkeypatch.setattr(ray_nodes, "_JOIN_SECONDS", 60.0)
    monkeypatch.setattr("tune.launch.ray_nodes.time.sleep", lambda _seconds: None)
    joined = iter([{"n3"}, {"n3"}, {"n7", "n3"}])
    monkeypatch.setattr(ray_nodes, "_joined", lambda _address: next(joined))
    wait_for_nodes(job, step, log)
    assert list(joined) == []
    ended = SimpleNamespace(poll=lambda: 1, stderr=SimpleNamespace(read=lambda: b"srun:\n no node"))
    with pytest.raises(LaunchError, match="n7: srun: no node"):
        wait_for_nodes(job, ended, tmp_path / "no-log")
    with pytest.raises(LaunchError, match="n7: Ray did not start"):
        wait_for_nodes(job, step, tmp_path / "no-log", give_up=lambda: True)


@pytest.fixture
def nodes(program, monkeypatch, tmp_path):
    """Where nodes of a job that are no nodes write what they are told; they have joined Ray."""
    program("srun", f"touch small-0.log small-1.log; cat > '{tmp_path}/told'")
    cluster = SimpleNamespace(own_address=lambda: "n7", node_names=lambda _address: {"n7", "n3"})
    monkeypatch.setitem(sys.modules, "tune.execution.ray_cluster", cluster)
    monkeypatch.setattr(ray_nodes, "_joined", cluster.node_names)
    return tmp_path / "told"


def ray_on(*, give_up=lambda: False):
    return ray_nodes.ray_on(job_of(), Path("small"), give_up=give_up)


def test_nodes_are_told_when_the_sweep_has_ended_and_their_logs_are_removed(nodes, program):
    with ray_on() as ray:
        assert ray.address == f"n7:{12_000 + 2 * int(JOB)}"
        ray.end()
    assert nodes.read_text() == "end\n"
    assert not list(nodes.parent.glob("small-*.log"))
    assert f"--output=small-%n.log {' '.join(TUNE)} launch node --address n7:" in program.asked()[0]


@pytest.mark.parametrize("cancelled", [False, True])
def test_logs_of_nodes_stay_after_a_fault_and_not_where_the_job_was_cancelled(nodes, cancelled):
    asked = iter([False])
    with (
        pytest.raises(LaunchError),
        ray_on(give_up=lambda: next(asked, cancelled)),
    ):
        raise LaunchError("no")
    assert nodes.read_text() == "end\n"
    assert len(list(nodes.parent.glob("small-*.log"))) == (0 if cancelled else 2)


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


def test_a_cancelled_job_does_not_wait_for_long_epochs(driver, monkeypatch, tmp_path):
    def leave():
        if (tmp_path / "ready").exists():
            allocation._cancelled.set()
        return False

    driver.leave = leave
    monkeypatch.setattr(allocation, "_EPOCH_SECONDS", 0.3)
    monkeypatch.setenv("STOPPING_SECONDS", "0.8")
    assert drive(driver) == (130, False)
    assert driver.ended


@pytest.fixture
def job(program, monkeypatch):  # noqa: ARG001
    """The job that this process belongs to; signals are heard as before after the test."""
    job = SimpleNamespace(id=JOB, called=[], end=lambda: None)
    job.queue_again = lambda: job.called.append("again")
    monkeypatch.setattr(SlurmJob, "here", lambda: job)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "before")
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGUSR1, signal.SIGTERM)}
    yield job
    for kind, handler in before.items():
        signal.signal(kind, handler)


def stand_in(monkeypatch, job, *, epochs=(0, 5), check=lambda: None, drive=lambda: (130, True)):
    """Let functions take the place of what a job does on its nodes."""
    counts = iter(epochs)

    @contextmanager
    def ray(_job, log, give_up):
        assert (str(log), give_up()) == (f"small-{JOB}", False)
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
        message = "no trial has trained a whole epoch in this allocation"
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


def test_what_fails_because_the_job_is_cancelled_is_no_error(job, monkeypatch, capsys):
    def check():
        os.kill(os.getpid(), signal.SIGTERM)
        raise LaunchError("n7 cannot run this program")

    stand_in(monkeypatch, job, check=check)
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert capsys.readouterr().out == CANCELLED


def test_the_signal_of_slurm_reaches_the_deadline(job, monkeypatch):
    def drive():
        os.kill(os.getpid(), signal.SIGUSR1)
        return 0, False

    heard = []
    stand_in(monkeypatch, job, drive=drive)
    deadline = SimpleNamespace(signal=lambda: heard.append(1))
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


def write_run(events):
    run = RUNS / "small"
    run.mkdir(parents=True, exist_ok=True)
    write_spec(run, small_spec())
    (run / LEDGER_FILE).write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


@pytest.mark.usefixtures("program")
def test_epochs_of_all_trials_are_counted():
    assert allocation._epochs_trained(RUNS / "small") == 0
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    train(sweep, 0.5, 0.6)
    train(sweep, 0.5)
    assert allocation._epochs_trained(write_run(ledger)) == 3


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
