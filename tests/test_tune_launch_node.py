"""Ray on one node of a Slurm job: how it starts, whom it outlasts, and what it leaves behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from fairsweep.errors import UserError
from tests.support.slurm import wait_until
from tune.execution import local_needs
from tune.launch import node
from tune.launch.errors import LaunchError

JOB = f"test{os.getpid()}"
RAY = """
import json, os, subprocess, time
child = subprocess.Popen(["sleep", "60"])
pids = [os.getpid(), child.pid]
facts = {"pids": pids, "RAY_TMPDIR": os.environ["RAY_TMPDIR"]}
with open("facts.part", "w") as file:
    json.dump(facts, file)
os.rename("facts.part", "facts")
time.sleep(float(os.environ.get("RAY_SECONDS", "60")))
"""
"""Stands in for Ray: a process with a child."""
NODE = """
import sys
from tune.launch import node
node._LEAVE_SECONDS = 0.5
node._ray_command = lambda *_words, **_options: [sys.executable, "-c", sys.argv[1]]
node._wait_for = lambda *_place: None
node._wait_for_the_loss_of_the_first = lambda *_words: print("waits for the loss of the first")
node.SlurmJob.here = lambda: None
node.become_ray_node("host:1", gpus=0)
"""


@pytest.fixture
def begin(tmp_path):
    """A function that begins a node of a Slurm step whose Ray is `RAY`; it waits for both."""
    begun = []

    def begin(number=0, **variables):
        environment = {
            **os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "RAY_TMPDIR": "",
            **variables,
            "SLURM_NODEID": str(number), "SLURM_JOB_ID": JOB, "SLURMD_NODENAME": "n7",
            "SLURM_CPUS_ON_NODE": "2",
        }  # fmt: skip
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        words = [sys.executable, "-c", NODE, RAY]
        one = subprocess.Popen(words, cwd=tmp_path, env=environment, text=True, **pipes)
        begun.append(one)
        wait_until(lambda: (tmp_path / "facts").exists() or one.poll() is not None, seconds=30)
        return one, json.loads((tmp_path / "facts").read_text())

    yield begin
    for one in begun:
        one.kill()
        one.communicate()


def lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_nothing_is_left(facts):
    assert not any(map(lives, facts["pids"]))
    assert not Path(facts["RAY_TMPDIR"]).exists()


def test_ray_ends_with_all_its_processes_and_files_when_the_driver_has_ended(begin):
    one, facts = begin()
    folder = Path(facts["RAY_TMPDIR"])
    assert folder == Path(f"/tmp/sweep-{os.getuid()}-job-{JOB}")
    assert folder.stat().st_mode & 0o777 == 0o700
    out, errors = one.communicate("end\n", timeout=20)
    assert (one.returncode, out, errors) == (0, "", "")
    assert_nothing_is_left(facts)


def test_ray_outlasts_a_stop_of_all_processes_for_a_while_and_then_leaves_nothing(begin):
    one, facts = begin()
    for pid in (*facts["pids"], one.pid):
        os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    assert all(map(lives, facts["pids"]))
    assert one.wait(20) == 0, "it does not wait for ever for a driver that says nothing"
    assert_nothing_is_left(facts)


def test_another_node_whose_driver_is_gone_without_a_word_waits_for_the_loss_of_the_first(begin):
    one, facts = begin(1)
    out, _ = one.communicate("", timeout=20)
    assert out == "waits for the loss of the first\n"
    assert_nothing_is_left(facts)


def test_a_head_that_ends_by_itself_is_told_and_its_logs_stay(begin):
    one, facts = begin(RAY_SECONDS="0")
    assert one.wait(20) != 0
    folder = Path(facts["RAY_TMPDIR"])
    assert f"Ray stopped unexpectedly; its logs are in {folder}" in one.stderr.read()
    (folder / "lock").unlink()
    folder.rmdir()


@pytest.fixture
def on_node(monkeypatch):
    """A function that makes this process one of a node of a Slurm step."""

    def become(number):
        for name, value in {
            "SLURM_NODEID": str(number), "SLURM_JOB_ID": JOB, "SLURM_CPUS_ON_NODE": "16",
            "SLURMD_NODENAME": ("n7", "n3")[number],
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)

    return become


def test_the_first_node_is_the_head_of_ray(on_node):
    on_node(0)
    words = node._ray_command("10.0.0.7:12010", first=True, gpus=2)
    assert {
        "--head", "--node-ip-address=10.0.0.7", "--port=12010", "--include-dashboard=false",
        "--node-name=n7", "--num-cpus=16", "--num-gpus=2", "--block",
    } <= set(words)  # fmt: skip


def test_another_node_waits_for_the_head_and_joins_it(on_node, monkeypatch):
    on_node(1)
    called = []
    monkeypatch.setattr(node, "_wait_for", lambda host, port: called.append((host, port)))
    monkeypatch.setattr(
        node, "_run_ray", lambda words, environment: called.append((words, environment)) or True
    )
    node.become_ray_node("10.0.0.7:12010", gpus=0)
    place, (words, environment) = called
    assert place == ("10.0.0.7", 12010)
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_prestart_worker_first_driver": "0"}
    assert settings.items() <= environment.items()
    assert {"--address=10.0.0.7:12010", "--node-name=n3", "--num-gpus=0"} <= set(words)
    assert "--head" not in words


@pytest.mark.parametrize(("gpus", "visible"), [(0, ""), (1, "0,1")])
def test_cards_that_are_not_ours_are_hidden(on_node, monkeypatch, gpus, visible):
    on_node(0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    seen = []
    monkeypatch.setattr(
        node, "_run_ray", lambda _words, env: seen.append(env["CUDA_VISIBLE_DEVICES"]) or True
    )
    node.become_ray_node("10.0.0.7:12010", gpus=gpus)
    assert seen == [visible]


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


def test_a_job_that_slurm_refuses_to_queue_is_queued_a_little_later(monkeypatch, capsys):
    slept, answers = [], iter([LaunchError("controller is away"), None])
    monkeypatch.setattr(node.time, "sleep", slept.append)

    def queue_again():
        if (error := next(answers)) is not None:
            raise error

    job = SimpleNamespace(nodes=("n7", "n3"), nodes_left=lambda: ("n3",), queue_again=queue_again)
    node._wait_for_the_loss_of_the_first(job, "n3")
    assert slept == [10.0, 10.0]
    assert "controller is away; tried again in 10 s" in capsys.readouterr().out


def test_the_head_is_waited_for_until_it_listens(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        node._wait_for("127.0.0.1", server.getsockname()[1])
        port = server.getsockname()[1]
    monkeypatch.setattr(node, "_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(node.time, "sleep", lambda _seconds: time.monotonic())
    with pytest.raises(LaunchError, match=f"nothing answers at 127.0.0.1:{port}, where Ray's head"):
        node._wait_for("127.0.0.1", port)


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), TimeoutError("timed out"), socket.gaierror("no such name")]
)
def test_a_head_that_cannot_be_reached_yet_is_tried_again(monkeypatch, error):
    answers = iter([error, error, None])

    def connect(_place, **_options):
        if (answer := next(answers)) is not None:
            raise answer
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(node.socket, "create_connection", connect)
    monkeypatch.setattr(node.time, "sleep", lambda _seconds: None)
    node._wait_for("n7", 12010)
    assert list(answers) == []


@pytest.mark.parametrize("grpc", [True, False])
def test_every_port_of_ray_is_the_jobs_own_or_any_free_one(on_node, monkeypatch, grpc):
    on_node(0)
    monkeypatch.setattr(node.importlib.util, "find_spec", lambda _name: grpc or None)
    words = node._ray_command("10.0.0.7:12010", first=True, gpus=0)
    assert ("--ray-client-server-port=12011" in words) is grpc
    assert {
        "--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0",
    } <= set(words)  # fmt: skip
    other = node._ray_command("10.0.0.7:12010", first=False, gpus=0)
    assert not [word for word in other if "client" in word or word.startswith("--port")]


@pytest.fixture
def run_here(monkeypatch):
    """A function that runs a stand-in for Ray here; returns the answer and how often it looked."""
    killed = []
    monkeypatch.setattr(node, "end_session", killed.append)

    def run(*, said=(), stops=(), lives=5):
        looks, now, left = iter(stops), iter(range(100)), [lives]

        def poll():
            left[0] -= 1
            return None if left[0] >= 0 else 0

        ray = SimpleNamespace(pid=77, poll=poll, wait=lambda: None)
        monkeypatch.setattr(node.subprocess, "Popen", lambda *_words, **_options: ray)
        monkeypatch.setattr(node.signal, "sigtimedwait", lambda *_: next(looks, None))
        monkeypatch.setattr(node, "time", SimpleNamespace(monotonic=lambda: next(now)))

        def thread(*, args, **_options):
            args[0].extend(said)
            return SimpleNamespace(start=lambda: None, is_alive=lambda: True)

        monkeypatch.setattr(node, "threading", SimpleNamespace(Thread=thread))
        return node._run_ray(["ray"], {}), lives - left[0]

    run.killed = killed
    return run


def test_the_end_may_arrive_in_pieces_and_only_the_end_is_one(run_here):
    assert run_here(said=[b"en", b"d\n"])[0] is True
    assert run_here(said=[b"en"])[0] is False
    assert run_here()[0] is False
    assert run_here.killed == [77] * 3, "nothing of Ray outlives it"


def test_a_further_stop_gives_ray_no_more_time(run_here, monkeypatch):
    monkeypatch.setattr(node, "_LEAVE_SECONDS", 10.0)
    told = []
    monkeypatch.setattr(node, "_tell_batch_process", told.append)
    # The clock moves on by a second at each look; a stop is heard at each of them.
    is_over, looks = run_here(stops=[object()] * 50, lives=40)
    assert is_over
    assert looks < 15
    assert len(told) == 1, "the batch script hears of it once"


@pytest.mark.parametrize(
    ("environment", "tells"),
    [
        ({"SLURM_NODEID": "0", "TUNE_BATCH_PROCESS": "77"}, [(77, signal.SIGTERM)]),
        ({"SLURM_NODEID": "1", "TUNE_BATCH_PROCESS": "77"}, []),
        ({"SLURM_NODEID": "0"}, []),
    ],
)
def test_the_first_node_tells_the_batch_script_of_a_stop(monkeypatch, environment, tells):
    told = []
    monkeypatch.setattr(node.os, "kill", lambda *words: told.append(words))
    node._tell_batch_process(environment)
    assert told == tells


def test_a_batch_script_that_has_ended_needs_no_word(monkeypatch):
    monkeypatch.setattr(node.os, "kill", lambda *_: (_ for _ in ()).throw(ProcessLookupError))
    node._tell_batch_process({"SLURM_NODEID": "0", "TUNE_BATCH_PROCESS": "77"})


def test_standard_input_is_read_to_its_end(monkeypatch):
    pieces, words = iter([b"en", b"d\n", b""]), []
    monkeypatch.setattr(node.os, "read", lambda file, most: next(pieces) if file == 0 < most else 0)
    node._read_all(words)
    assert (b"".join(words), list(pieces)) == (node.END, [])


def test_a_node_whose_disk_is_full_or_that_allows_few_files_says_so_before_ray_starts(
    on_node, monkeypatch
):
    on_node(0)
    monkeypatch.setattr(node, "_run_ray", lambda *_words: pytest.fail("Ray is started"))
    with monkeypatch.context() as patch:
        patch.setattr(local_needs.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1e6))
        told = "only 1 MB are free in /tmp, but Ray needs 20 MB there for its logs; free some, or"
        with pytest.raises(UserError, match=told):
            node.become_ray_node("10.0.0.7:12010", gpus=0)
    monkeypatch.setattr(local_needs.resource, "getrlimit", lambda _kind: (105, 105))
    with pytest.raises(UserError, match="at least 106 open files on 16 cores, and 105 are allowed"):
        node.become_ray_node("10.0.0.7:12010", gpus=0)
