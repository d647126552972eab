"""The lease of a run directory: held by one process at a time, shown by a heartbeat."""

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

from tune.run.directory import LEASE_FILE, RunError

_HEARTBEAT_SECONDS = 2.0
LEASE_SECONDS = 60.0
"""A lease of another machine without a heartbeat for so long is void."""


@contextmanager
def hold(run: Path) -> Iterator[None]:
    """Hold the lease of a run: the right to write to it, shown to others by a heartbeat.

    A process that has lost it, as after a pause in which another took the run over, ends at once.

    Raises:
        RunError: Another living process holds it.
    """
    path = run / LEASE_FILE
    mine = json.dumps(_me())
    with path.open("a+", encoding="utf-8") as file:
        # The lock keeps two processes from taking a free lease at the same moment.
        fcntl.flock(file, fcntl.LOCK_EX)
        if (other := holder_of(run, watch_seconds=3 * _HEARTBEAT_SECONDS)) is not None:
            raise RunError(
                f"{run} is in use by {describe(other)}; "
                f"wait for it, or stop it with `python -m tune stop {run}`"
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
    """Renew the lease until ``done``; end the process if the lease is another's."""
    while not done.wait(_HEARTBEAT_SECONDS):
        try:
            if path.read_text(encoding="utf-8") == mine:
                os.utime(path)
                continue
        except OSError:
            continue  # A network file system may have a bad moment.
        print(
            f"error: another process has taken {path.parent} over, so this one ends; "
            f"`python -m tune status {path.parent}` shows how it goes on",
            file=sys.stderr,
            flush=True,
        )
        os._exit(130)


def holder_of(run: Path, *, watch_seconds: float = 0.0) -> dict[str, Any] | None:
    """Return the living process that writes to a run: its ``host`` and ``pid``.

    Args:
        run: The run directory.
        watch_seconds: How long to watch for a heartbeat of another machine whose lease looks void.
            Some file systems stamp files by the clock of the machine that writes, be it wrong.
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
        return None  # Never held, given back, or cut short by the death of its writer.


def silent_holder(run: Path) -> tuple[dict[str, Any], float] | None:
    """Return the holder of a run that was not heard of for long, and when it was, since 1970.

    It is suspended, or its machine is gone. None where it is heard of, has died or has ended.
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
    """Return the time that files get there: on a network file system, by its server's clock."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # Those who may only read have their own clock.
        return time.time()


def _started(pid: int) -> float | None:
    # A pid alone may have gone to another process since.
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
