"""The lease of a run directory: one process at a time holds it, and renews it by a heartbeat."""

import fcntl
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from fairsweep.command_line import shell_path
from tune.run.directory import LEASE_FILE, RunError

_HEARTBEAT_SECONDS = 2.0
LEASE_SECONDS = 60.0
"""A lease of another machine expires after this time without a heartbeat."""


@contextmanager
def hold(run: Path) -> Iterator[None]:
    """Hold the lease of a run, which is the right to write to it.

    If the process loses the lease, as when another process takes over during a pause, it exits
    immediately.

    Raises:
        RunError: Another living process holds it.
    """
    path = run / LEASE_FILE
    mine = json.dumps(_me())
    with path.open("a+", encoding="utf-8") as file:
        # The lock prevents two processes from taking a free lease at the same time.
        fcntl.flock(file, fcntl.LOCK_EX)
        if (other := holder_of(run, watch_seconds=3 * _HEARTBEAT_SECONDS)) is not None:
            raise RunError(
                f"{run} is in use by {describe(other)}; "
                f"wait for it, or stop it with `python -m tune stop {shell_path(run)}`"
            )
        file.truncate(0)
        file.write(mine)
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, mine, done), daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()
        with path.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.read() == mine:
                file.truncate(0)


def _me() -> dict[str, Any]:
    me = os.getpid()
    job = {"job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}
    return {"host": socket.gethostname(), "pid": me, "started": _started(me), **job}


def describe(holder: Mapping[str, Any]) -> str:
    """Return in words which process holds a lease."""
    job = f" (Slurm job {holder['job']})" if "job" in holder else ""
    return f"process {holder['pid']} on {holder['host']}{job}"


def _beat(path: Path, mine: str, done: threading.Event) -> None:
    """Renew the lease until ``done``; end the process if another one has taken the lease."""
    while not done.wait(_HEARTBEAT_SECONDS):
        try:
            if path.read_text(encoding="utf-8") == mine:
                os.utime(path)
                continue
        except OSError:
            continue  # A network file system can fail for a moment.
        print(
            f"error: another process has taken over {path.parent}, so this one ends; "
            f"`python -m tune status {shell_path(path.parent)}` shows the progress of the run",
            file=sys.stderr,
            flush=True,
        )
        os._exit(130)


def holder_of(run: Path, *, watch_seconds: float = 0.0) -> dict[str, Any] | None:
    """Return the living process that writes to a run: its ``host`` and ``pid``.

    Args:
        run: The run directory.
        watch_seconds: How long to wait for a heartbeat if another machine's lease looks expired.
            This helps on file systems whose time stamps come from the writing machine's clock.
    """
    path = run / LEASE_FILE
    try:
        holder: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        beaten = path.stat().st_mtime
        if holder["host"] == socket.gethostname():
            return holder if _started(holder["pid"]) == holder["started"] else None
        if _clock_of(run) - beaten < LEASE_SECONDS:
            return holder
        time.sleep(watch_seconds)
        return holder if path.stat().st_mtime != beaten else None
    except (FileNotFoundError, ValueError):
        return None  # Never held, released, or incomplete because its writer died.


def silent_holder(run: Path) -> tuple[dict[str, Any], float] | None:
    """Return a holder without a recent heartbeat, and the time of the last one since 1970.

    Such a holder is suspended, or its machine is down. None if the holder is active or has ended.
    """
    path = run / LEASE_FILE
    try:
        holder: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        heard = path.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None
    here = holder["host"] == socket.gethostname()
    if here and _started(holder["pid"]) != holder["started"]:
        return None
    return (holder, heard) if _clock_of(run) - heard >= LEASE_SECONDS else None


def _clock_of(folder: Path) -> float:
    """Return the time by the clock that stamps files there, such as that of a file server."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # Without write access, use the local clock.
        return time.time()


def _started(pid: int) -> float | None:
    # The start time distinguishes a process from a later one with the same pid.
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
