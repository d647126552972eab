"""The nodes of the connected Ray: which are alive, which died, and which actor runs where."""

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
"""How much earlier than the death of a node the death of its worker may be noticed."""


class Nodes:
    """The nodes that were alive at the last look."""

    def __init__(self) -> None:
        self._there = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        self._gone: dict[str, Node] = {}
        self._reported: set[str] = set()
        self._node_of: dict[str, str] = {}
        self._next_look = 0.0

    @property
    def there(self) -> list[Node]:
        """The nodes that are alive."""
        return list(self._there.values())

    def look(self) -> tuple[list[Node], list[Node]]:
        """Return the nodes that joined and those that died since the last look."""
        joined: list[Node] = []
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
            for node_id in self._there.keys() - alive.keys():
                self._lose(node_id)
            new = alive.keys() - self._there.keys() - self._gone.keys()
            joined = [alive[node_id] for node_id in new]
            self._there |= {node_id: alive[node_id] for node_id in new}
        gone = [node for node_id, node in self._gone.items() if node_id not in self._reported]
        self._reported |= self._gone.keys()
        return joined, gone

    def note(self, actor: Any) -> str:
        """Remember the node of an actor; return the actor's id."""
        actor_id = actor_id_of(actor)
        if actor_id not in self._node_of:
            self._node_of[actor_id] = node_id_of(actor_id)
        return actor_id

    def lost_under(self, actor_id: str | None) -> str | None:
        """Return the name of an actor's node if the node died; None if it still answers.

        The node is contacted directly, because Ray needs seconds to declare a silent node dead.
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
    """Return the name of a node; by default, its address."""
    return str(node["NodeName"] or node["NodeManagerAddress"])


def _answers(node: Node) -> bool:
    address = (node["NodeManagerAddress"], node["NodeManagerPort"])
    try:
        socket.create_connection(address, timeout=_ANSWER_SECONDS).close()
    except OSError:
        return False
    return True
