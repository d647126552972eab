"""Which nodes join and die, and what a node's death means for the actors on it."""

import socket
from types import SimpleNamespace

import pytest

from tune.execution.nodes import Nodes, name


@pytest.fixture
def cluster(monkeypatch):
    """Nodes that listen on ports of this machine; a node dies when its port is closed."""
    cluster = SimpleNamespace(nodes={}, ports={}, actors={}, now=100.0)

    def add(node_id, label=""):
        server = cluster.ports[node_id] = socket.create_server(("127.0.0.1", 0))
        cluster.nodes[node_id] = {
            "NodeID": node_id, "Alive": True, "NodeName": label,
            "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": server.getsockname()[1],
        }  # fmt: skip

    cluster.add = add
    cluster.kill = lambda node_id: cluster.ports[node_id].close()
    # Ray says so seconds after the death.
    cluster.bury = lambda node_id: cluster.nodes[node_id].update(Alive=False)
    ray = SimpleNamespace(nodes=lambda: list(cluster.nodes.values()))
    monkeypatch.setattr("tune.execution.nodes.ray", ray)
    monkeypatch.setattr("ray._private.state.actors", lambda actor: cluster.actors[actor])
    clock = SimpleNamespace(monotonic=lambda: cluster.now, sleep=lambda seconds: wait(seconds))

    def wait(seconds):
        cluster.now += seconds

    monkeypatch.setattr("tune.execution.nodes.time", clock)
    for node_id in ("a", "b"):
        add(node_id, f"node {node_id}")
    yield cluster
    for server in cluster.ports.values():
        server.close()


def actor_on(cluster, actor_id, node_id):
    cluster.actors[actor_id] = {"Address": {"NodeID": node_id}}
    return SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: actor_id))


def names(nodes):
    return [name(node) for node in nodes]


def look(cluster, nodes):
    cluster.now += 1.0
    joined, lost = nodes.look()
    return names(joined), names(lost)


def test_a_node_that_died_before_is_not_there_and_not_lost(cluster):
    cluster.bury("b")
    nodes = Nodes()
    assert names(nodes.there) == ["node a"]
    assert look(cluster, nodes) == ([], [])


def test_a_look_tells_each_node_that_came_or_went_once(cluster):
    nodes = Nodes()
    assert look(cluster, nodes) == ([], [])
    cluster.add("c", "node c")
    cluster.bury("a")
    assert look(cluster, nodes) == (["node c"], ["node a"])
    assert look(cluster, nodes) == ([], [])
    assert names(nodes.there) == ["node b", "node c"]


def test_ray_is_asked_once_a_second(cluster):
    nodes = Nodes()
    assert look(cluster, nodes) == ([], [])
    cluster.bury("a")
    cluster.now += 0.9
    assert nodes.look() == ([], [])
    cluster.now += 0.2
    assert names(nodes.look()[1]) == ["node a"]


def test_a_node_that_answers_is_not_lost_with_its_worker(cluster):
    nodes = Nodes()
    actor = nodes.note(actor_on(cluster, "77", "b"))
    assert actor == "77"
    assert nodes.lost_under(actor) is None
    assert names(nodes.there) == ["node a", "node b"]
    assert nodes.lost_under(None) is None
    assert nodes.lost_under("unknown") is None


def test_a_silent_node_is_lost_before_ray_says_so_and_is_told_once(cluster):
    nodes = Nodes()
    nodes.note(actor_on(cluster, "77", "b"))
    nodes.note(actor_on(cluster, "78", "b"))
    cluster.kill("b")
    assert nodes.lost_under("77") == "node b"
    assert nodes.lost_under("78") == "node b"
    assert look(cluster, nodes) == ([], ["node b"])
    cluster.bury("b")
    assert look(cluster, nodes) == ([], [])
    assert names(nodes.there) == ["node a"]


def test_a_node_without_a_name_is_called_by_its_address():
    assert name({"NodeName": "", "NodeManagerAddress": "10.0.0.7"}) == "10.0.0.7"
    assert name({"NodeName": "n7", "NodeManagerAddress": "10.0.0.7"}) == "n7"


def test_a_worker_may_be_seen_to_die_a_little_before_its_node(cluster, monkeypatch):
    nodes = Nodes()
    nodes.note(actor_on(cluster, "77", "b"))
    waited = []

    def sleep(seconds):
        cluster.now += seconds
        waited.append(seconds)
        if sum(waited) > 0.75:
            cluster.kill("b")

    monkeypatch.setattr("tune.execution.nodes.time.sleep", sleep)
    assert nodes.lost_under("77") == "node b"
    assert sum(waited) < 1.0


def test_ray_is_asked_once_where_an_actor_is(cluster):
    nodes = Nodes()
    actor = actor_on(cluster, "77", "b")
    nodes.note(actor)
    actor_on(cluster, "77", "a")
    nodes.note(actor)
    cluster.kill("b")
    assert nodes.lost_under("77") == "node b"


def test_a_node_that_is_silent_is_not_waited_for_without_end(cluster, monkeypatch):
    nodes = Nodes()
    nodes.note(actor_on(cluster, "77", "b"))

    def silent(_address, timeout=None):
        assert timeout is not None, "the system waits for minutes"
        assert timeout < 5
        raise TimeoutError

    monkeypatch.setattr("tune.execution.nodes.socket.create_connection", silent)
    assert nodes.lost_under("77") == "node b"
