"""Starts Ray on one node of a Slurm allocation, in place of this process."""

import importlib.util
import os
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

from tune.launch.errors import LaunchError

TEMPORARY = "/tmp/tune-{job}"
"""On each node's own disk, and short: Ray's sockets lie below it."""
_WAIT_SECONDS = 120.0
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
}
"""When Ray is told to stop, the sweep has ended: nothing is there to drain."""


def become_ray_node(address: str, *, gpus: int) -> NoReturn:
    """Start Ray here, as the head on the first node; it ends with the Slurm step, all of it.

    Args:
        address: Where the head listens, ``host:port``; the next port is its own too.
        gpus: GPUs of this node that are ours.

    Raises:
        LaunchError: The head does not come up.
    """
    environment = os.environ
    host, port = address.split(":")
    if environment["SLURM_NODEID"] == "0":
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
    Path(temporary).mkdir(mode=0o700, exist_ok=True)
    hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
    ours = {**environment, **_SETTINGS, **hidden, "RAY_TMPDIR": temporary}
    os.execve(sys.executable, command, ours)


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
