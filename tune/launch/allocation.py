"""Runs a sweep in a Slurm allocation: checks the nodes, starts Ray, stops before the time limit."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from fairsweep.command_line import INTERRUPTED
from tune.launch.ask_nodes import check_nodes
from tune.launch.deadline import Deadline
from tune.launch.errors import LaunchError, NotStartedError
from tune.launch.job import BATCH_PROCESS, SlurmJob, refuse_if_running
from tune.launch.ray_nodes import RayNodes, ray_on
from tune.run.directory import LEDGER_FILE, RUNS
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events
from tune.session.status import was_asked_to_stop

_EPOCH_SECONDS = 5.0
"""How long trials of a cancelled or preempted job may take to finish their epochs."""
_KILL_WAIT_SECONDS = 30.0
"""How long after SIGTERM Slurm sends SIGKILL, unless a site changes its ``KillWait``."""
_CLOSE_SECONDS = 14.0
"""When this much time is left, Ray is stopped, so that a driver that still waits for epochs closes
its run."""
_KILL_SECONDS = 4.0
"""When this much time is left, the driver is killed, so that the job can still be requeued."""
TUNE = (sys.executable, "-m", "tune")
"""Command line of the driver, on this node."""
_cancelled = threading.Event()
"""Set when Slurm has ended this job."""
_must_leave = threading.Event()
"""Set when the job must leave its nodes, because it is preempted or its time limit has passed."""


def run_in_allocation(name: str, words: Sequence[str]) -> int:
    """Run or resume a sweep on the nodes of this Slurm job; requeue the job when time is up.

    Args:
        name: Name of the run.
        words: The spec and the options of `tune run`.

    Returns:
        The exit code of the sweep.

    Raises:
        LaunchError: Another job works on the run, a node cannot run the sweep (the message names
            the node), or the allocation is too short for an epoch.
    """
    job, run, starts = SlurmJob.here(), RUNS / name, True
    deadline = Deadline(job.end, run)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: deadline.signal())
    signal.signal(signal.SIGTERM, lambda _number, _frame: _note_end(job))
    os.environ[BATCH_PROCESS] = str(os.getpid())
    refuse_if_running(run, but=job.id)
    before = _epochs_trained(run)
    try:
        code, left = _run(job, run, words, deadline)
    except LaunchError as error:
        if not _is_ending() and not isinstance(error, NotStartedError):
            raise
        # The end of the job caused the error.
        code, left, starts = INTERRUPTED, not _cancelled.is_set(), False
    if _cancelled.is_set() and code != 0 and job.goes_on():
        _cancelled.clear()  # Slurm gave no answer before.
        _must_leave.set()
        left = True
    if code != 0 and (_cancelled.is_set() or (_must_leave.is_set() and job.is_cancelled())):
        print(f"{name}: job {job.id} was cancelled, so it is not queued again", flush=True)
    elif left and was_asked_to_stop(run):
        print(f"{name}: stopped as asked, so job {job.id} is not queued again", flush=True)
    elif left:
        why = _why_it_left(job, run, before=before, starts=starts)
        print(f"{name}: {why}; queued again as job {job.id}", flush=True)
        job.queue_again()
    elif code < 0:
        raise LaunchError(
            f"the driver of {name} was ended by {signal.Signals(-code).name}; submit its script "
            "again to continue (after SIGKILL, request more memory: add --mem to the script)"
        )
    return code


def _why_it_left(job: SlurmJob, run: Path, *, before: int, starts: bool) -> str:
    """Return why a job left its nodes that can go on in another allocation.

    Args:
        job: The job.
        run: The run directory.
        before: Epochs that the run had when the allocation began.
        starts: Whether Ray has started.

    Raises:
        LaunchError: Another allocation of this length would not help.
    """
    is_preempted = _must_leave.is_set() and not job.is_out_of_time()
    if is_preempted or job.was_told_to_leave():
        return "the job is preempted"
    if _epochs_trained(run) > before:
        return "the allocation ends"
    # A node may start slowly once.
    if not starts and (before > 0 or os.environ.get("SLURM_RESTART_COUNT", "0") == "0"):
        return "the allocation ends before Ray has started"
    what = "no trial has finished an epoch" if starts else "Ray has not started"
    raise LaunchError(
        f"{what} in this allocation, so another one of this length would not help; launch with a "
        f"longer --time to continue {run.name}"
    )


def _note_end(job: SlurmJob) -> None:
    """Note a SIGTERM: Slurm has ended the job, or preempts it and sends SIGKILL a little later."""
    if not _is_ending():
        (_must_leave if job.goes_on() else _cancelled).set()


def _is_ending() -> bool:
    return _cancelled.is_set() or _must_leave.is_set()


def _epochs_trained(run: Path) -> int:
    """Count the epochs of all trials that the ledger has."""
    if not (run / LEDGER_FILE).exists():
        return 0
    return sum(isinstance(event, MeasurementTaken) for event in read_events(run))


def _run(job: SlurmJob, run: Path, words: Sequence[str], deadline: Deadline) -> tuple[int, bool]:
    """Start Ray on the nodes and run the sweep; returns what `_drive` returns."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    RUNS.mkdir(exist_ok=True)
    check_nodes(job)
    log = Path(f"{run.name}-{job.id}")
    with ray_on(job, log, is_ending=_is_ending, is_late=deadline.leave) as ray:
        return _drive(ray, words, deadline)


def _drive(ray: RayNodes, words: Sequence[str], deadline: Deadline) -> tuple[int, bool]:
    """Run the sweep; return its exit code and whether it was stopped for the time limit."""
    environment = os.environ | {"RAY_ADDRESS": ray.address}
    driver = subprocess.Popen([*TUNE, "launch", "sweep", *words], env=environment)
    terminated_at: float | None = None
    left = False
    while driver.poll() is None:
        cancelled, now = _cancelled.is_set(), time.monotonic()
        left = left or (not cancelled and (_must_leave.is_set() or deadline.leave()))
        if terminated_at is None and (left or cancelled):
            driver.terminate()
            terminated_at = now
        late = terminated_at is not None and now - terminated_at > _EPOCH_SECONDS
        seconds_left = deadline.seconds_left()
        if _is_ending():
            seconds_left = _KILL_WAIT_SECONDS - (now - (terminated_at or now))
        if seconds_left < _CLOSE_SECONDS or (_is_ending() and late):
            ray.end()  # The driver then closes the run without waiting for epochs.
        if seconds_left < _KILL_SECONDS:
            driver.kill()  # Only epochs since the last checkpoint are lost.
        time.sleep(0.2)
    return driver.returncode, left and driver.returncode != 0
