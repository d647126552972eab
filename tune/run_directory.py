"""Run directories: made, found, described, and held by one process at a time."""

import fcntl
import importlib.metadata
import json
import os
import platform
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset
from fairsweep.errors import UserError
from tune.carried import Carried, carried_groups, with_groups
from tune.schema import LEASE_FILE, LEDGER_FILE, PROVENANCE_FILE, SCHEMA_VERSION, SPEC_FILE
from tune.spec import SpecError, SweepSpec, load_spec
from tune.store import is_url, open_dataset

RUNS = Path("runs")
"""Where runs lie, below the folder that a command is called in."""

_HEARTBEAT_SECONDS = 2.0
LEASE_SECONDS = 60.0
"""A lease of another machine without a heartbeat for so long is void."""


class RunError(UserError):
    """A run directory that cannot be used as asked; the message is one line."""


def create_run(root: Path, spec: SweepSpec, manifest: DatasetManifest, carried: Carried) -> Path:
    """Make the run directory of a new sweep, with its spec, provenance and what it carries.

    Raises:
        RunError: There is a run of this name already.
    """
    run = root / spec.name
    if run.exists() and any(run.iterdir()):
        raise RunError(
            f"{run} holds a run already; go on with `python -m tune resume {run}`, "
            "or give this one another --name"
        )
    run.mkdir(parents=True, exist_ok=True)
    carried.copy_into(run)
    write_spec(run, spec)
    origin = {} if carried.origin is None else {"origin": dict(carried.origin)}
    provenance = _provenance(spec, manifest) | origin
    _write(run / PROVENANCE_FILE, json.dumps(provenance, indent=2) + "\n")
    return run


def write_spec(run: Path, spec: SweepSpec) -> None:
    """Write the spec of a run, whole or not at all."""
    _write(run / SPEC_FILE, spec.to_yaml())


def read_spec(run: Path) -> SweepSpec:
    """Read back the spec of a run.

    Raises:
        RunError: ``run`` is no run directory, or its spec is damaged.
    """
    _check_run(run)
    try:
        return load_spec(run / SPEC_FILE)
    except SpecError as error:
        raise RunError(f"{error}; put back the spec that the run was made with") from error


def _check_run(run: Path) -> None:
    if not (run / LEDGER_FILE).is_file() or not (run / SPEC_FILE).is_file():
        raise RunError(
            f"{run} is not a run directory; `python -m tune list` shows those below {RUNS}"
        )


def read_provenance(run: Path) -> dict[str, Any]:
    """Read what is known of how a run came to be.

    Raises:
        RunError: ``run`` is no run directory.
    """
    _check_run(run)
    values: dict[str, Any] = json.loads((run / PROVENANCE_FILE).read_text(encoding="utf-8"))
    return values


def find_dataset(run: Path, data: str | Path | None) -> ImageDataset:
    """Read the dataset of a run, from ``data`` if it was moved, with the columns that it carries.

    Raises:
        MissingFileError: It is not there.
        RunError: It is another dataset than the run was made with.
    """
    provenance = read_provenance(run)
    dataset = open_dataset(data or provenance["dataset"]["path"])
    expected = provenance["dataset"]["fingerprint"]
    if dataset.manifest.fingerprint != expected:
        raise RunError(
            f"the dataset has fingerprint {dataset.manifest.fingerprint}, but {run} was made with "
            f"{expected}; give --data the dataset that it was made with"
        )
    return with_groups(dataset, carried_groups(run))


def _provenance(spec: SweepSpec, manifest: DatasetManifest) -> dict[str, Any]:
    libraries = ("torch", "torchvision", "ray", "optuna", "numpy", "pyarrow")
    return {
        "schema_version": SCHEMA_VERSION,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": shlex.join(["python", "-m", "tune", *sys.argv[1:]]),
        "git": _git(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in libraries},
        },
        "hardware": {
            "host": socket.gethostname(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        "dataset": {
            "path": spec.data if is_url(spec.data) else str(Path(spec.data).resolve()),
            "name": manifest.name,
            "fingerprint": manifest.fingerprint,
        },
    }


def _git() -> dict[str, Any] | None:
    """Return the commit of this code and whether it was changed since, if git knows."""

    def ask(*words: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextmanager
def hold(run: Path) -> Iterator[None]:
    """Hold the lease of a run: the right to write to it, shown to others by a heartbeat.

    A process that has lost it, as after a pause in which another took the run over, ends at once.

    Raises:
        RunError: Another living process holds it.
    """
    path = run / LEASE_FILE
    me = os.getpid()
    mine = json.dumps({"host": socket.gethostname(), "pid": me, "started": _started(me)})
    with path.open("a+", encoding="utf-8") as file:
        # The lock keeps two processes from taking a free lease at the same moment.
        fcntl.flock(file, fcntl.LOCK_EX)
        if (other := holder_of(run, watch_seconds=3 * _HEARTBEAT_SECONDS)) is not None:
            raise RunError(
                f"{run} is in use by process {other['pid']} on {other['host']}; "
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
