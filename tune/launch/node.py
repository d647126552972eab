"""Starts Ray on one node of a Slurm allocation, and outlives it where the first node dies."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from tune.execution.own_folder import private_folder
from tune.launch.errors import LaunchError
from tune.launch.job import SlurmJob

TEMPORARY = "/tmp/tune-{job}"
"""On each node's own disk, and short: Ray's sockets lie below it."""
_WAIT_SECONDS = 120.0
_LOOK_SECONDS = 30.0
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
}
"""When Ray is told to stop, the sweep has ended: nothing is there to drain."""


def become_ray_node(address: str, *, gpus: int) -> None:
    """Start Ray here, as the head on the first node; it ends with the Slurm step, all of it.

    The first node also has the batch script. If it dies, Slurm lets the job be, for the other nodes
    go on; so one of these queues it again.

    Args:
        address: Where the head listens, ``host:port``; the next port is its own too.
        gpus: GPUs of this node that are ours.

    Raises:
        LaunchError: The head does not come up.
    """
    environment = os.environ
    host, port = address.split(":")
    first = environment["SLURM_NODEID"] == "0"
    if first:
        place = ["--head", f"--node-ip-address={host}", f"--port={port}"]
        place += ["--include-dashboard=false"]
        if importlib.util.find_spec("grpc") is not None:  # Then Ray opens this one too.
            place.append(f"--ray-client-server-port={int(port) + 1}")
    else:
        _wait_for(host, int(port))
        place = [f"--address={address}"]
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *place),
        f"--node-name={environment['SLURMD_NODENAME']}",
        # Ray would count those that belong to other jobs too.
        f"--num-cpus={environment['SLURM_CPUS_ON_NODE']}",
        f"--num-gpus={gpus}",
        # Any that are free, for the raylets of several sweeps may share this node.
        *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
    ]
    temporary = TEMPORARY.format(job=environment["SLURM_JOB_ID"])
    private_folder(Path(temporary))
    hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
    ours = {**environment, **_SETTINGS, **hidden, "RAY_TMPDIR": temporary}
    if first:
        os.execve(sys.executable, command, ours)
    if _ended_by_itself(command, ours):
        _wait_for_the_loss_of_the_first(SlurmJob.here(), environment["SLURMD_NODENAME"])


def _ended_by_itself(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run a command; return whether it ended without Slurm's signal, which it hears as we do."""
    told = False

    def hear(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True

    before = signal.signal(signal.SIGTERM, hear)
    subprocess.run(command, env=environment, check=False)
    signal.signal(signal.SIGTERM, before)
    return not told


def _wait_for_the_loss_of_the_first(job: SlurmJob, me: str) -> None:
    """Queue the job again once Slurm has given up its first node; else Slurm ends us here."""
    while True:
        time.sleep(_LOOK_SECONDS)
        left = job.nodes_left()
        if left and job.nodes[0] not in left and left[0] == me:
            job.queue_again()
            return


def _wait_for(host: str, port: int) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise LaunchError(f"nothing answers at {host}:{port}, where Ray's head should be")
