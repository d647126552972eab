"""A driver notices that Ray's servers are gone, though a call to Ray would block."""

import socket
import threading
from types import SimpleNamespace

import pytest

from tune.execution import ray_watch
from tune.execution.ray_watch import Server, run_while_ray_lives


@pytest.fixture
def server(monkeypatch):
    """A server that listens, in place of Ray's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        known = Server(name="the GCS", host="127.0.0.1", port=port)
        monkeypatch.setattr(ray_watch, "connected_servers", lambda: [known])
        monkeypatch.setattr(ray_watch, "_LEAVE_SECONDS", 0.1)
        yield listener


@pytest.mark.usefixtures("server")
def test_work_that_ends_is_not_abandoned_and_what_it_raises_is_raised():
    done = []
    assert run_while_ray_lives(lambda: done.append(1)) == ""
    assert done == [1]

    def fail():
        raise KeyError("a fault")

    with pytest.raises(KeyError, match="a fault"):
        run_while_ray_lives(fail)


def test_work_that_waits_for_a_server_that_is_gone_is_abandoned(server):
    never = threading.Event()

    def wait():
        server.close()
        never.wait()

    assert "the GCS no longer answers" in run_while_ray_lives(wait, look_seconds=0.05)
    never.set()


def test_an_error_because_the_server_is_gone_is_no_fault(server):
    def fail():
        server.close()
        raise ConnectionError("no GCS")

    assert "stopped unexpectedly" in run_while_ray_lives(fail)


def test_a_server_that_is_only_silent_has_half_a_minute(monkeypatch):
    def silent(*_words, **_options):
        raise TimeoutError

    monkeypatch.setattr(ray_watch.socket, "create_connection", silent)
    now = 100.0
    monkeypatch.setattr(ray_watch.time, "monotonic", lambda: now)
    known = Server(name="the GCS", host="127.0.0.1", port=1, _answered=100.0)
    now = 129.0
    assert not known.is_gone()
    now = 131.0
    assert known.is_gone()


def test_the_half_minute_of_silence_begins_with_the_last_answer(server, monkeypatch):
    now = 100.0
    monkeypatch.setattr(ray_watch.time, "monotonic", lambda: now)
    port = server.getsockname()[1]
    known = Server(name="the GCS", host="127.0.0.1", port=port, _answered=100.0)
    now = 900.0
    assert not known.is_gone()

    def silent(*_words, **_options):
        raise TimeoutError

    monkeypatch.setattr(ray_watch.socket, "create_connection", silent)
    now = 930.0
    assert not known.is_gone()
    now = 930.5
    assert known.is_gone()


def test_the_servers_are_the_gcs_of_the_head_and_the_raylet_of_this_node(monkeypatch):
    context = SimpleNamespace(gcs_address="[fe80::7]:6379", get_node_id=lambda: "b")
    nodes = [
        {"NodeID": name, "NodeManagerAddress": f"10.0.0.{port}", "NodeManagerPort": port}
        for port, name in enumerate("abc")
    ]
    stand_in = SimpleNamespace(get_runtime_context=lambda: context, nodes=lambda: nodes)
    monkeypatch.setattr(ray_watch, "ray", stand_in)
    found = ray_watch.connected_servers()
    assert [(each.name, each.host, each.port) for each in found] == [
        ("the GCS", "fe80::7", 6379),
        ("the raylet", "10.0.0.1", 1),
    ]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_an_end_that_is_no_exception_reaches_the_caller_too(error):
    def leave():
        raise error

    with pytest.raises(type(error)):
        run_while_ray_lives(leave)


def test_each_server_that_is_gone_is_named(server):
    here = Server(name="here", host="127.0.0.1", port=server.getsockname()[1])
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    gone = [Server(name=name, host="127.0.0.1", port=port) for name in ("the GCS", "the raylet")]
    assert ray_watch._lost([here]) == ""
    told = "Ray stopped unexpectedly (the GCS and the raylet no longer answers)"
    assert ray_watch._lost([gone[0], here, gone[1]]) == told
