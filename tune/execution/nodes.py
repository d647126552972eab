"""The nodes of the connected Ray: which there are, which are gone, and where an actor was."""

import socket
import time
from collections.abc import Mapping
from typing import Any

import ray

from tune.execution.ray_private import actor_id_of, node_id_of

Node = Mapping[str, Any]
"""A node as `ray.nodes` describes it."""

_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_SETTLE_SECONDS = 1.0
"""How much sooner than its node a worker may be seen to die."""


class Nodes:
    """Knows the nodes that were there at the last look."""

    def __init__(self) -> None:
        self._there = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        self._gone: dict[str, Node] = {}
        self._told: set[str] = set()
        self._node_of: dict[str, str] = {}
        self._next_look = 0.0

    @property
    def there(self) -> list[Node]:
        """The nodes that are there."""
        return list(self._there.values())

    def look(self) -> tuple[list[Node], list[Node]]:
        """Return the nodes that have joined, and those that are gone, since the last look."""
        joined: list[Node] = []
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
            for one in self._there.keys() - alive.keys():
                self._lose(one)
            new = alive.keys() - self._there.keys() - self._gone.keys()
            joined = [alive[one] for one in new]
            self._there |= {one: alive[one] for one in new}
        gone = [node for one, node in self._gone.items() if one not in self._told]
        self._told |= self._gone.keys()
        return joined, gone

    def note(self, actor: Any) -> str:
        """Remember on which node an actor is; return the actor's id."""
        actor_id = actor_id_of(actor)
        if actor_id not in self._node_of:
            self._node_of[actor_id] = node_id_of(actor_id)
        return actor_id

    def lost_under(self, actor_id: str | None) -> str | None:
        """Return the name of the node that died under an actor; None if it still answers.

        Ray itself takes seconds until it holds a silent node for dead.
        """
        node_id = self._node_of.get(actor_id or "", "")
        until = time.monotonic() + _SETTLE_SECONDS
        while node_id in self._there and _answers(self._there[node_id]):
            if time.monotonic() > until:
                return None
            time.sleep(0.1)
        if node_id in self._there:
            self._lose(node_id)
        return name(self._gone[node_id]) if node_id in self._gone else None

    def _lose(self, node_id: str) -> None:
        self._gone[node_id] = self._there.pop(node_id)


def name(node: Node) -> str:
    """Return what a node is called: its address, unless it was given a name."""
    return str(node["NodeName"] or node["NodeManagerAddress"])


def _answers(node: Node) -> bool:
    place = (node["NodeManagerAddress"], node["NodeManagerPort"])
    try:
        socket.create_connection(place, timeout=_ANSWER_SECONDS).close()
    except OSError:
        return False
    return True
