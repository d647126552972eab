"""How Ray starts and ends on the nodes of a job; a shell script stands in for `srun`."""

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.allocations import JOB, Programs, job_of
from tune.launch import ray_nodes
from tune.launch.errors import LaunchError
from tune.launch.job import TUNE
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
    (asked,) = program.asked()
    assert "--input=all" in asked
    assert f"--output=small-%n.log {' '.join(TUNE)} launch node --address n7:" in asked


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
