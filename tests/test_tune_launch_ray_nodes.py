"""How Ray starts and ends on the nodes of a job; a shell script stands in for `srun`."""

import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.allocations import JOB, Programs, job_of
from tune.launch import ray_nodes
from tune.launch.errors import LaunchError, NotStartedError
from tune.launch.ray_nodes import RayNodes


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a shell script with a name of Slurm's first on the path."""
    return Programs(tmp_path, monkeypatch)


def test_each_job_has_two_ports_of_its_own():
    port = ray_nodes._free_port(5)
    assert 12_010 <= port < 32_000
    assert port % 2 == 0
    assert ray_nodes._free_port(5 + 10_000) == port
    for place, taken in (("", port), ("", port + 1), ("127.0.0.2", port)):
        with socket.socket() as server:
            server.bind((place, taken))
            assert ray_nodes._free_port(5) > port + 1


def test_after_the_last_port_comes_the_first_and_of_none_all_are_named(monkeypatch):
    last = ray_nodes._PORTS[-1]
    taken = {last}
    monkeypatch.setattr(ray_nodes, "_is_free", lambda port: port not in taken)
    assert ray_nodes._free_port(len(ray_nodes._PORTS) - 1) == ray_nodes._PORTS[0] == 12_000
    taken |= {port + 1 for port in ray_nodes._PORTS}
    with pytest.raises(LaunchError, match=r"ports from 12000 to 31999 are free on this node"):
        ray_nodes._free_port(5)


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
    with pytest.raises(LaunchError, match="n7: srun: no node"):
        wait_for_nodes(job, ended, tmp_path / "no-log", give_up=lambda: True)
    with pytest.raises(NotStartedError, match=r"^Ray had not started on n3, n7$"):
        wait_for_nodes(job, step, log, give_up=lambda: True)


@pytest.fixture
def nodes(program, monkeypatch, tmp_path):
    """Where nodes of a job that are no nodes write what they are told; they have joined Ray."""
    program("srun", f"touch small-0.log small-1.log; cat > '{tmp_path}/told'")
    cluster = SimpleNamespace(own_address=lambda: "n7", node_names=lambda _address: {"n7", "n3"})
    monkeypatch.setitem(sys.modules, "tune.execution.ray_cluster", cluster)
    monkeypatch.setattr(ray_nodes, "_joined", cluster.node_names)
    return tmp_path / "told"


def ray_on(*, is_ending=lambda: False, is_late=lambda: False):
    return ray_nodes.ray_on(job_of(), Path("small"), is_ending=is_ending, is_late=is_late)


def test_nodes_are_told_when_the_sweep_has_ended_and_their_logs_are_removed(nodes, program):
    with ray_on() as ray:
        assert ray.address == f"n7:{12_000 + 2 * int(JOB)}"
        ray.end()
    assert nodes.read_text() == "end\n"
    assert not list(nodes.parent.glob("small-*.log"))
    (asked,) = program.asked()
    assert "--input=all" in asked
    assert f"--output=small-%n.log {sys.executable} -m tune launch node --address n7:" in asked


@pytest.mark.parametrize("cancelled", [False, True])
def test_logs_of_nodes_stay_after_a_fault_and_not_where_the_job_was_cancelled(nodes, cancelled):
    asked = iter([False])
    with (
        pytest.raises(LaunchError),
        ray_on(is_ending=lambda: next(asked, cancelled)),
    ):
        raise LaunchError("no")
    assert nodes.read_text() == "end\n"
    assert len(list(nodes.parent.glob("small-*.log"))) == (0 if cancelled else 2)


def test_nodes_are_not_waited_for_when_the_job_must_leave_and_their_logs_are_removed(
    nodes, monkeypatch
):
    monkeypatch.setattr(ray_nodes, "_joined", lambda _address: set())
    late = iter([False, True])
    with (
        pytest.raises(NotStartedError, match="Ray had not started on n3, n7"),
        ray_on(is_late=lambda: next(late, True)),
    ):
        pytest.fail("it did not start")
    assert nodes.read_text() == "end\n"
    assert not list(nodes.parent.glob("small-*.log"))


def test_a_step_goes_on_without_a_node_and_gives_each_its_input(nodes, program):
    with ray_on():
        pass
    assert nodes.read_text() == "end\n"
    (asked,) = program.asked()
    options = ("--input=all", "--no-kill", "--kill-on-bad-exit=0", "--wait=0", "--gpus 2")
    assert all(f"{option} " in f"{asked} " for option in options)


def test_nodes_have_joined_a_ray_that_answers(monkeypatch):
    cluster = SimpleNamespace(node_names={"n7"}.union)
    monkeypatch.setitem(sys.modules, "tune.execution.ray_cluster", cluster)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        cluster.node_names = lambda asked: {"n7", asked}
        assert ray_nodes._joined(address) == {"n7", address}
    assert ray_nodes._joined(address) == set(), "nothing answers any more"


@pytest.mark.parametrize("error", [TimeoutError("timed out"), OSError(113, "No route to host")])
def test_no_node_has_joined_a_ray_that_cannot_be_asked_in_time(monkeypatch, error):
    def ask(_address):
        raise error

    monkeypatch.setitem(sys.modules, "tune.execution.ray_cluster", SimpleNamespace(node_names=ask))
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ray_nodes._joined(f"127.0.0.1:{server.getsockname()[1]}") == set()


def test_a_step_that_does_not_end_is_killed():
    done = []

    def wait(seconds=None):
        done.append(seconds)
        if seconds is not None:
            raise subprocess.TimeoutExpired("srun", seconds)

    stderr = SimpleNamespace(close=lambda: done.append("closed"))
    step = SimpleNamespace(wait=wait, kill=lambda: done.append("killed"), stderr=stderr)
    ray_nodes._wait_for_end(step)
    assert done == [15.0, "killed", None, "closed"]


def test_the_last_line_of_a_log_is_the_last_that_says_something(tmp_path):
    log = tmp_path / "n1.log"
    assert ray_nodes._last_line(log) == ""
    log.write_text("first\n last \n  \n\n")
    assert ray_nodes._last_line(log) == f"last (all of it in {log})"
    log.write_text(" \n")
    assert ray_nodes._last_line(log) == ""
