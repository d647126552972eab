"""Notices when Ray's servers have ended, so that the driver does not wait for them."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import ray

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
"""How long a server may be unreachable without refusing; Ray aborts the driver after 60 s."""
_LEAVE_SECONDS = 2.0
"""How long work may continue without Ray, so that it can end by itself."""


def run_while_ray_lives(work: Callable[[], None], *, look_seconds: float = _LOOK_SECONDS) -> str:
    """Call ``work`` in a thread; return why it was abandoned, or an empty text if it ended.

    A call to a Ray that is gone blocks for a minute, after which Ray aborts the process. So the
    calling thread, which makes no calls to Ray, checks whether its servers still answer.

    Raises:
        Exception: The exception of ``work``, if Ray still answers.
    """
    raised: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:  # Raised again in the calling thread.
            raised.append(error)

    servers = connected_servers()
    thread = threading.Thread(target=call, name="sweep", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(look_seconds)
        if lost := _lost(servers):
            thread.join(_LEAVE_SECONDS)
            return lost
    if not raised:
        return ""
    if lost := _lost(servers):
        return lost
    raise raised[0]


def _lost(servers: Iterable["Server"]) -> str:
    """Return a message that names the servers that are gone; empty if none is."""
    gone = [server.name for server in servers if server.is_gone()]
    return f"Ray stopped unexpectedly ({' and '.join(gone)} no longer answers)" if gone else ""


@dataclass(kw_only=True)
class Server:
    """A Ray server that the driver needs."""

    name: str
    host: str
    port: int
    _answered: float = field(default_factory=time.monotonic)

    def is_gone(self) -> bool:
        """Return whether the server refuses connections, or has not answered for too long."""
        try:
            socket.create_connection((self.host, self.port), timeout=1.0).close()
        except ConnectionRefusedError:
            return True
        except OSError:  # The network may fail for a moment.
            return time.monotonic() - self._answered > _PATIENCE_SECONDS
        self._answered = time.monotonic()
        return False


def connected_servers() -> list[Server]:
    """Return the servers of the connected Ray's head and of this node."""
    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    servers = [Server(name="the GCS", host=host.strip("[]"), port=int(port))]
    for node in ray.nodes():
        if node["NodeID"] == context.get_node_id():
            address = {"host": node["NodeManagerAddress"], "port": node["NodeManagerPort"]}
            servers.append(Server(name="the raylet", **address))
    return servers
