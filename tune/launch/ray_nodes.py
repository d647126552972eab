"""Runs Ray on all nodes of a Slurm job, as one step that ends with the driver."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tune.launch.errors import LaunchError, NotStartedError
from tune.launch.job import SlurmJob
from tune.launch.node import END

_PORTS = range(12_000, 32_000, 2)
"""Ports below those that Linux assigns by itself. Ray takes all but two of its ports from those."""
_JOIN_SECONDS = 300.0
_STOP_SECONDS = 15.0
"""How long the nodes may take to stop Ray and clean up; Slurm kills the job's processes 30 s after
its stop signal."""


@dataclass(frozen=True, kw_only=True)
class RayNodes:
    """Ray on all nodes of a job."""

    address: str
    """Where the head listens, ``host:port``."""
    step: "subprocess.Popen[bytes]"
    """The `srun` process of the job step that runs Ray."""

    def end(self) -> None:
        """Make all nodes stop Ray; a driver that is still running then closes its run."""
        assert self.step.stdin is not None
        if not self.step.stdin.closed:
            with suppress(BrokenPipeError):
                self.step.stdin.write(END)
            self.step.stdin.close()


@contextmanager
def ray_on(
    job: SlurmJob, log: Path, *, is_ending: Callable[[], bool], is_late: Callable[[], bool]
) -> Iterator[RayNodes]:
    """Start Ray on all nodes, and stop it afterwards.

    Args:
        job: The job on whose nodes Ray starts.
        log: Prefix of the nodes' logs, followed by ``-``, the number of the node and ``.log``.
        is_ending: Called while nodes start; returns whether Slurm is ending the job.
        is_late: Likewise; returns whether the job must leave before its time limit.

    Raises:
        NotStartedError: One of these was true before Ray had started on all nodes.
        LaunchError: Ray does not start on a node; the message names it.
    """
    # Imported late, because Ray reads its token when it is imported.
    from tune.execution.ray_cluster import own_address

    address = f"{own_address()}:{_free_port(int(job.id))}"
    command = ["launch", "node", "--address", address, "--gpus", str(job.gpus)]
    # Nodes learn from their input when to end, but a user's SLURM_STDINMODE may close it.
    options = ("--input=all", "--no-kill", "--kill-on-bad-exit=0", "--wait=0")
    # srun's messages about a cancelled job look like errors, so they are not shown.
    words = job.on_each_node(command, *options, f"--output={log}-%n.log")
    step = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    ray = RayNodes(address=address, step=step)
    failed = True
    try:
        _wait_for_nodes(job, ray, log, lambda: is_ending() or is_late())
        yield ray
        failed = False
    except NotStartedError:
        failed = False
        raise
    finally:
        ray.end()
        _wait_for_end(step)
        if not failed or is_ending():
            for place in range(len(job.nodes)):
                _log_of(log, place).unlink(missing_ok=True)


def _wait_for_end(step: "subprocess.Popen[bytes]") -> None:
    try:
        step.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        step.kill()  # Slurm ends the rest of the step with the job.
        step.wait()
    if step.stderr is not None:
        step.stderr.close()


def _free_port(job: int) -> int:
    """Return the first of two free ports, chosen by the job's number.

    Other jobs may start Ray on the same node at the same time.
    """
    own = job % len(_PORTS)
    port: int
    for port in (*_PORTS[own:], *_PORTS[:own]):
        if _is_free(port) and _is_free(port + 1):
            return port
    raise LaunchError(
        f"no two neighbouring ports from {_PORTS.start} to {_PORTS.stop - 1} are free on this node"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as server:
        try:
            server.bind(("", port))
        except OSError:
            return False
    return True


def _wait_for_nodes(job: SlurmJob, ray: RayNodes, log: Path, give_up: Callable[[], bool]) -> None:
    until = time.monotonic() + _JOIN_SECONDS
    missing, step = set(job.nodes), ray.step
    while missing and step.poll() is None and time.monotonic() < until and not give_up():
        time.sleep(0.5)
        missing -= _joined(ray.address)
    if missing and step.poll() is None and give_up():
        raise NotStartedError(f"Ray had not started on {', '.join(sorted(missing))}")
    if missing:
        silent = f"Ray did not start within {_JOIN_SECONDS:.0f} seconds"
        if step.poll() is not None and step.stderr is not None:
            silent = " ".join(step.stderr.read().decode(errors="replace").split())
        raise LaunchError(
            "; ".join(
                f"{node}: {_last_line(_log_of(log, place)) or silent}"
                for place, node in enumerate(job.nodes)
                if node in missing
            )
        )


def _log_of(log: Path, place: int) -> Path:
    """Return the log of Ray on one node of the job."""
    return Path(f"{log}-{place}.log")


def _joined(address: str) -> set[str]:
    """Return the names of the nodes that have joined Ray."""
    from tune.execution.ray_cluster import node_names

    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return node_names(address)
    except OSError:  # Ray's own ConnectionError is one of these.
        return set()


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"{said[-1]} (all of it in {path})" if said else ""
