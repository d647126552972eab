"""What an allocation makes of its nodes and its time; shell scripts stand in for Slurm.

Tests `tune.launch.allocation`, `tune.commands.launch`, `tune.launch.deadline`, `tune.launch.node`,
`tune.launch.preflight` and `tune.launch.job`.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.sweeps import figures, new_sweep, small_spec, train
from tune.__main__ import main
from tune.commands import launch as commands
from tune.launch import allocation, deadline, node
from tune.launch.errors import LaunchError
from tune.launch.job import SlurmJob
from tune.launch.preflight import NodeFacts, look, token_fingerprint
from tune.run.directory import LEDGER_FILE, RUNS
from tune.session.run_directory import write_spec

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


@pytest.mark.parametrize(("given", "gpus"), [(None, 0), ("4", 4), ("a100:4", 4), ("gpu:a100:2", 2)])
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


def test_the_end_of_a_job_is_in_local_time_and_unknown_where_slurm_does_not_say(program):
    program("squeue", "echo 2031-05-06T07:08:09")
    assert job_of().end() == datetime(2031, 5, 6, 7, 8, 9).timestamp()
    assert program.asked() == [f"squeue --noheader --job {JOB} --format %e"]
    program("squeue", "echo N/A")
    assert job_of().end() is None
    program("squeue", "exit 1")
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
    assert program.asked() == [f"scontrol requeue {JOB}"]
    program("scontrol", "echo 'not\n allowed' >&2; exit 1")
    with pytest.raises(LaunchError, match=rf"does not queue job {JOB} again: not allowed; "):
        job_of().queue_again()


# The preflight.


FACTS = NodeFacts(versions={"Python": "3.12.1"}, gpus=2, token="t", unwritable="")


def test_each_node_is_asked_and_its_answer_is_told_apart(program):
    program("srun", 'echo "1: late"; echo "0: first"; echo " 0: second"; echo "noise"; '
                    'echo "1: broke: no" >&2; echo "x: y"')  # fmt: skip
    assert allocation._ask_each(job_of(), ["look"]) == [
        ("first\nsecond\n", ""), ("late\n", "broke: no\n"),
    ]  # fmt: skip
    assert program.asked()[0].endswith(" --label --kill-on-bad-exit=0 look")


def test_nodes_that_do_not_answer_in_time_are_told_apart_from_those_that_do(program, monkeypatch):
    monkeypatch.setattr(allocation, "_LOOK_SECONDS", 0.3)
    program("srun", 'echo "1: here"; exec sleep 5')
    assert allocation._ask_each(job_of(), ["look"]) == [("", ""), ("here\n", "")]


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
    assert list(allocation._judge(job_of(), "n7", (out, errors), FACTS, mark)) == said


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
        allocation._preflight(job_of(gpus=1))
    told = str(refused.value).split("; ")
    assert told[0] == "n7 has 0 GPUs that torch sees, but 1 were asked for"
    assert told[1].startswith("n3 writes to a ")
    assert [path.name for path in RUNS.iterdir()] == ["mine"]
    assert program.asked()[0].endswith(f"-m tune launch check --mark runs/.{JOB}- --gpus")
    program(
        "srun", f"touch 'runs/.{JOB}-0' 'runs/.{JOB}-1'; echo '0: {answer}'; echo '1: {answer}'"
    )
    allocation._preflight(job_of(gpus=0))
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
    port = allocation._free_port(5)
    assert 12_010 <= port < 32_000
    assert port % 2 == 0
    assert allocation._free_port(5 + 10_000) == port
    for taken in (port, port + 1):
        with socket.socket() as server:
            server.bind(("", taken))
            assert allocation._free_port(5) > port + 1


def test_nodes_that_do_not_join_are_named_with_the_last_line_of_their_log(tmp_path, monkeypatch):
    log = tmp_path / "small-4711"
    (tmp_path / "small-4711-1.log").write_text("start\nno space left\n\n")
    step = SimpleNamespace(poll=lambda: None, stderr=None)
    monkeypatch.setattr(allocation, "_JOIN_SECONDS", 0.0)
    monkeypatch.setattr(allocation, "_joined", lambda _address: {"n9"})
    job = job_of(nodes=("n7", "n3"))
    with pytest.raises(LaunchError) as refused:
        allocation._wait_for_nodes(job, "a:1", step, log)
    assert str(refused.value) == (
        "n7: Ray did not start within 0 seconds; "
        f"n3: no space left (all of it in {tmp_path}/small-4711-1.log)"
    )
    monkeypatch.setattr(allocation, "_JOIN_SECONDS", 60.0)
    monkeypatch.setattr("tune.launch.allocation.time.sleep", lambda _seconds: None)
    joined = iter([{"n3"}, {"n3"}, {"n7", "n3"}])
    monkeypatch.setattr(allocation, "_joined", lambda _address: next(joined))
    allocation._wait_for_nodes(job, "a:1", step, log)
    assert list(joined) == []
    ended = SimpleNamespace(poll=lambda: 1, stderr=SimpleNamespace(read=lambda: "srun:\n no node"))
    with pytest.raises(LaunchError, match="n7: srun: no node"):
        allocation._wait_for_nodes(job, "a:1", ended, tmp_path / "no-log")


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
    """A driver that sleeps, and the deadline of its allocation."""
    (tmp_path / "driver.py").write_text(DRIVER)
    monkeypatch.setattr(allocation, "_TUNE", (sys.executable, str(tmp_path / "driver.py")))
    deadline = SimpleNamespace(leave=lambda: False, over=lambda: False, signal=lambda: None)
    monkeypatch.setattr(allocation, "Deadline", lambda _end, _run: deadline)
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGUSR1, signal.SIGTERM)}
    yield deadline
    for kind, handler in before.items():
        signal.signal(kind, handler)


def drive():
    return allocation._drive(job_of(), "n7:12000", RUNS / "small", ["a b.yaml", "--set", "x=1"])


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("code", [0, 3])
def test_a_sweep_that_ends_by_itself_gives_its_exit_code(monkeypatch, tmp_path, code):
    monkeypatch.setenv("DRIVER_SECONDS", "0")
    monkeypatch.setenv("DRIVER_CODE", str(code))
    assert drive() == (code, False)
    assert (tmp_path / "told").read_text() == "launch sweep a b.yaml --set x=1 n7:12000"


def test_a_sweep_is_told_to_stop_when_it_is_time_to_leave(driver, tmp_path):
    driver.leave = (tmp_path / "ready").exists
    assert drive() == (130, True)
    assert (tmp_path / "stopped").exists()


def test_a_sweep_that_finishes_although_it_was_told_to_stop_is_not_queued_again(
    driver, monkeypatch, tmp_path
):
    monkeypatch.setenv("STOPPED_CODE", "0")
    driver.leave = (tmp_path / "ready").exists
    assert drive() == (0, False)


def test_a_sweep_that_does_not_stop_is_killed_when_no_time_is_left(driver, tmp_path):
    driver.leave = driver.over = (tmp_path / "ready").exists
    code, left = drive()
    assert left
    assert code in (-signal.SIGKILL, 130)


def test_a_job_that_is_cancelled_stops_and_is_not_queued_again_though_its_time_is_up(
    driver, monkeypatch, tmp_path
):
    cancelled = []

    def leave():
        if (tmp_path / "ready").exists() and not cancelled:
            os.kill(os.getpid(), signal.SIGTERM)
            cancelled.append(1)
            return False
        return bool(cancelled)

    monkeypatch.setenv("STOPPING_SECONDS", "0.8")
    driver.leave = leave
    assert drive() == (130, False)


def test_the_signal_of_slurm_reaches_the_deadline(driver, tmp_path):
    heard = []
    driver.signal = lambda: heard.append(1)

    def leave():
        if (tmp_path / "ready").exists() and not heard:
            os.kill(os.getpid(), signal.SIGUSR1)
        return bool(heard)

    driver.leave = leave
    assert drive() == (130, True)
    assert heard == [1]


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("before", "after", "left", "queued"),
    [(0, 5, True, True), (5, 5, True, None), (5, 5, False, False)],
)
def test_a_job_is_queued_again_where_time_was_up_and_an_epoch_was_trained(
    monkeypatch, before, after, left, queued, capsys
):
    @contextmanager
    def ray(_job, log):
        assert str(log) == f"small-{JOB}"
        yield "n7:12000"

    counts = iter((before, after))
    job = SimpleNamespace(id=JOB, queue_again=lambda: called.append("again"))
    called = []
    for name, stand_in in {
        "_preflight": lambda _job: called.append("look"),
        "_ray": ray,
        "_epochs_trained": lambda _run: next(counts),
        "_drive": lambda *words: called.append(words[1:]) or (130, left),
    }.items():
        monkeypatch.setattr(allocation, name, stand_in)
    monkeypatch.setattr(SlurmJob, "here", lambda: job)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "before")
    driven = ("n7:12000", RUNS / "small", ["a.yaml"])
    if queued is None:
        with pytest.raises(
            LaunchError, match="no trial has trained a whole epoch in this allocation"
        ):
            allocation.run_in_allocation("small", ["a.yaml"])
        assert called == ["look", driven]
        return
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130
    assert called == ["look", driven, *(["again"] if queued else [])]
    assert ("queued again as job 4711" in capsys.readouterr().out) is queued
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert RUNS.is_dir()


@pytest.mark.usefixtures("program")
def test_a_job_that_is_cancelled_while_it_leaves_is_not_queued_again(monkeypatch):
    @contextmanager
    def ray(_job, _log):
        yield "n7:12000"
        allocation._cancelled.set()

    job = SimpleNamespace(id=JOB, queue_again=lambda: pytest.fail("it was queued again"))
    counts = iter((0, 5))
    for name, stand_in in {
        "_preflight": lambda _job: None,
        "_ray": ray,
        "_epochs_trained": lambda _run: next(counts),
        "_drive": lambda *_words: (130, True),
    }.items():
        monkeypatch.setattr(allocation, name, stand_in)
    monkeypatch.setattr(SlurmJob, "here", lambda: job)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "before")
    assert allocation.run_in_allocation("small", ["a.yaml"]) == 130


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
    assert not watch.over()
    now = 1000.0 + 4 * 3600 - 10.5
    assert not watch.over()
    now += 0.5
    assert watch.over()


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
    now, ends, asked = 1000.0, [1400.0, 9000.0], []
    monkeypatch.setattr(deadline.time, "time", lambda: now)
    watch = deadline.Deadline(
        lambda: asked.append(now) or ends[min(len(asked), 2) - 1], RUNS / "no"
    )
    watch.leave()
    now = 1059.0
    watch.leave()
    assert asked == [1000.0]
    now = 1061.0
    watch.leave()
    assert asked == [1000.0, 1061.0]
    now = 1395.0
    assert not watch.leave()
    assert not watch.over()


# What the scripts call.


@pytest.fixture
def replaced(monkeypatch):
    """The commands that took the place of this process."""
    replaced = []
    monkeypatch.setattr(commands.os, "execv", lambda _program, words: replaced.append(words))
    monkeypatch.setattr(
        node.os, "execve", lambda _program, words, env: replaced.append((words, env))
    )
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


@pytest.fixture
def on_node(program, monkeypatch, tmp_path):  # noqa: ARG001
    """A function that makes this process one of a node of a Slurm step."""
    monkeypatch.setattr(node, "TEMPORARY", str(tmp_path / "tune-{job}"))

    def become(number):
        for name, value in {
            "SLURM_NODEID": str(number), "SLURM_JOB_ID": JOB, "SLURM_CPUS_ON_NODE": "16",
            "SLURMD_NODENAME": ("n7", "n3")[number], "SLURM_JOB_NODELIST": "n[7,3]",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)

    return become


def test_the_first_node_is_the_head_of_ray(on_node, replaced, tmp_path, monkeypatch):
    on_node(0)
    called = []
    monkeypatch.setattr(node.subprocess, "run", lambda *words, **_: called.append(words))
    monkeypatch.setattr(node.os, "execve", lambda *words: replaced.append(words) or sys.exit(0))
    with pytest.raises(SystemExit):
        node.become_ray_node("10.0.0.7:12010", gpus=2)
    ((_, words, environment),) = replaced
    assert {
        "--head", "--node-ip-address=10.0.0.7", "--port=12010", "--include-dashboard=false",
        "--node-name=n7", "--num-cpus=16", "--num-gpus=2", "--block",
    } <= set(words)  # fmt: skip
    assert environment["RAY_TMPDIR"] == str(tmp_path / f"tune-{JOB}")
    assert (tmp_path / f"tune-{JOB}").stat().st_mode & 0o777 == 0o700
    assert "CUDA_VISIBLE_DEVICES" not in environment or environment["CUDA_VISIBLE_DEVICES"] != ""
    assert called == []


def test_another_node_joins_the_head_and_hides_cards_that_are_not_ours(
    on_node, monkeypatch, program
):
    on_node(1)
    called, waited = [], []
    monkeypatch.setattr(node, "_wait_for", lambda host, port: called.append((host, port)))
    monkeypatch.setattr(
        node, "_ended_by_itself", lambda words, env: called.append((words, env)) or len(called) > 2
    )
    monkeypatch.setattr(
        node, "_wait_for_the_loss_of_the_first", lambda job, me: waited.append((job.nodes, me))
    )
    program("scontrol", "echo n7; echo n3")
    node.become_ray_node("10.0.0.7:12010", gpus=0)
    place, (words, environment) = called
    assert place == ("10.0.0.7", 12010)
    assert {"--address=10.0.0.7:12010", "--node-name=n3", "--num-gpus=0"} <= set(words)
    assert "--head" not in words
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert waited == [], "Slurm ended it"
    node.become_ray_node("10.0.0.7:12010", gpus=1)
    assert waited == [(("n7", "n3"), "n3")]


def test_a_command_that_slurm_ends_did_not_end_by_itself():
    sleeps = [sys.executable, "-c", "pass"]
    assert node._ended_by_itself(sleeps, os.environ)
    kills = "import os, signal; os.kill(os.getppid(), signal.SIGTERM)"
    before = signal.getsignal(signal.SIGTERM)
    assert not node._ended_by_itself([sys.executable, "-c", kills], os.environ)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("looks", "me", "queued"),
    [
        ([("n7", "n3"), (), ("n3",)], "n3", True),
        ([("n3", "n5"), None], "n5", False),
        ([("n7", "n3"), None], "n3", False),
    ],
)
def test_the_first_node_that_is_left_queues_the_job_again(monkeypatch, looks, me, queued):
    looks, called = iter(looks), []

    def left():
        found = next(looks)
        if found is None:
            raise TimeoutError
        return found

    monkeypatch.setattr(node.time, "sleep", lambda _seconds: None)
    job = SimpleNamespace(
        nodes=("n7", "n3", "n5"), nodes_left=left, queue_again=lambda: called.append(1)
    )
    if queued:
        node._wait_for_the_loss_of_the_first(job, me)
    else:
        with pytest.raises(TimeoutError):
            node._wait_for_the_loss_of_the_first(job, me)
    assert called == [1] * queued


def test_the_head_is_waited_for_until_it_listens(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        node._wait_for("127.0.0.1", server.getsockname()[1])
        port = server.getsockname()[1]
    monkeypatch.setattr(node, "_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(node.time, "sleep", lambda _seconds: time.monotonic())
    with pytest.raises(LaunchError, match=f"nothing answers at 127.0.0.1:{port}, where Ray's head"):
        node._wait_for("127.0.0.1", port)
