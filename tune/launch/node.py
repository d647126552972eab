"""Runs Ray on one node of a Slurm job until the driver ends, then cleans up the node."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from tune.execution.local_needs import allow_files
from tune.execution.own_folder import job_folder
from tune.execution.process_session import end_session
from tune.execution.ray_settings import RAY_SETTINGS
from tune.launch.errors import LaunchError
from tune.launch.job import BATCH_PROCESS, SlurmJob

END = b"end\n"
"""What the driver's node writes to the standard input of all nodes when the sweep has ended."""
_WAIT_SECONDS = 120.0
_LOOK_SECONDS = 10.0
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_LEAVE_SECONDS = 20.0
"""How long Ray may run on after a stop signal. Slurm sends SIGKILL 30 s later (``KillWait``)."""


def become_ray_node(address: str, *, gpus: int) -> None:
    """Run Ray here, as the head on the first node, until the driver's node ends it.

    The first node also runs the batch script. If it dies, Slurm keeps the job while other nodes are
    alive; one of these then requeues the job.

    Args:
        address: Where the head listens, ``host:port``; the head also uses the next port.
        gpus: GPUs of this node that the job has.

    Raises:
        LaunchError: The head does not start, or stops unexpectedly.
        UserError: Too few open files are allowed, or Ray's folder is too full or has too long a
            path for sockets.
    """
    environment = os.environ
    allow_files(int(environment["SLURM_CPUS_ON_NODE"]))
    first = environment["SLURM_NODEID"] == "0"
    if not first:
        host, port = address.split(":")
        _wait_for(host, int(port))
    hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
    with _stops_blocked(), job_folder(environment["SLURM_JOB_ID"]) as folder:
        ours = {**environment, **RAY_SETTINGS, **hidden, "RAY_TMPDIR": str(folder)}
        is_over = _run_ray(_ray_command(address, first=first, gpus=gpus), ours)
        if first and not is_over:
            raise LaunchError(f"Ray stopped unexpectedly; its logs are in {folder}")
    if not is_over:
        _wait_for_the_loss_of_the_first(SlurmJob.here(), environment["SLURMD_NODENAME"])


def _ray_command(address: str, *, first: bool, gpus: int) -> list[str]:
    host, port = address.split(":")
    place = [f"--address={address}"]
    if first:
        place = ["--head", f"--node-ip-address={host}", f"--port={port}"]
        place += ["--include-dashboard=false"]
        if importlib.util.find_spec("grpc") is not None:  # Then Ray opens this port too.
            place.append(f"--ray-client-server-port={int(port) + 1}")
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *place),
        f"--node-name={os.environ['SLURMD_NODENAME']}",
        # By default, Ray would also count the cores of other jobs.
        f"--num-cpus={os.environ['SLURM_CPUS_ON_NODE']}",
        f"--num-gpus={gpus}",
        # Any free ports, because raylets of several sweeps may share this node.
        *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
    ]


@contextmanager
def _stops_blocked() -> Iterator[None]:
    """Block stop signals in this process and in all processes that it starts.

    Slurm signals every process of the job, but Ray must run until the driver has closed the run.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_ray(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run Ray until the driver's node ends it, or for `_LEAVE_SECONDS` after a stop signal.

    Returns:
        False if Ray stopped unexpectedly, or the driver's node is gone.
    """
    words: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(words,), daemon=True)
    reader.start()
    ray = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    until: float | None = None
    while ray.poll() is None and reader.is_alive() and (until is None or time.monotonic() < until):
        if signal.sigtimedwait(_STOPS, 0.2) is not None and until is None:
            until = time.monotonic() + _LEAVE_SECONDS
            _tell_batch_process(environment)
    end_session(ray.pid)
    ray.wait()
    return b"".join(words) == END or until is not None


def _tell_batch_process(environment: Mapping[str, str]) -> None:
    """Send SIGTERM to the job's batch process, which a preemption signals only at its end."""
    if environment["SLURM_NODEID"] == "0" and BATCH_PROCESS in environment:
        with suppress(ProcessLookupError):
            os.kill(int(environment[BATCH_PROCESS]), signal.SIGTERM)


def _read_all(words: list[bytes]) -> None:
    """Read standard input to its end; Python needs the lock of ``sys.stdin`` when it exits."""
    while part := os.read(0, 1024):
        words.append(part)


def _wait_for_the_loss_of_the_first(job: SlurmJob, me: str) -> None:
    """Requeue the job once Slurm has given up its first node; otherwise Slurm ends this process."""
    while True:
        time.sleep(_LOOK_SECONDS)
        left = job.nodes_left()
        if left and job.nodes[0] not in left and left[0] == me:
            try:
                return job.queue_again()
            except LaunchError as error:  # Slurm's controller may be restarting.
                print(f"{error}; tried again in {_LOOK_SECONDS:.0f} s", flush=True)


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
