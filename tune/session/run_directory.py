"""Run directories: made, found, described, and held by one process at a time."""

import importlib.metadata
import json
import os
import platform
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from data_prep.fingerprint import check_content
from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset
from fairsweep.urls import is_url
from tune.run.directory import (
    LEDGER_FILE,
    PROVENANCE_FILE,
    RUNS,
    SCHEMA_VERSION,
    SPEC_FILE,
    RunError,
)
from tune.session.carried import Carried, carried_groups, with_groups
from tune.session.store import open_dataset
from tune.sweep.spec import SpecError, SweepSpec, load_spec


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
        return load_spec(run / SPEC_FILE, recorded=True)
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
        UserError: Its content is not what its fingerprint says.
    """
    provenance = read_provenance(run)
    dataset = open_dataset(data or provenance["dataset"]["path"])
    expected = provenance["dataset"]["fingerprint"]
    if dataset.manifest.fingerprint != expected:
        raise RunError(
            f"the dataset has fingerprint {dataset.manifest.fingerprint}, but {run} was made with "
            f"{expected}; give --data the dataset that it was made with"
        )
    check_content(dataset)
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
