"""Creates run directories, and reads their spec, provenance and dataset."""

import importlib.metadata
import json
import os
import platform
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from data_prep.fingerprint import check_content
from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset
from fairsweep.command_line import shell_path
from fairsweep.durable import sync_folder, write_text
from fairsweep.urls import is_url
from fairsweep.yaml_text import load_yaml
from tune.run.directory import (
    CHECKPOINTS_DIR,
    CODE_DIR,
    GROUPS_FILE,
    INITIAL_FILE,
    LEASE_FILE,
    LEDGER_FILE,
    PREDICTIONS_DIR,
    PROVENANCE_FILE,
    RUNS,
    SCHEMA_VERSION,
    SPEC_FILE,
    RunError,
)
from tune.run.events import SweepExtended, SweepResumed, SweepStarted
from tune.run.lease import hold, holder_of
from tune.run.ledger import read_events
from tune.session.carried import Carried, carried_groups, with_groups
from tune.session.code import copy_code
from tune.session.store import open_dataset
from tune.sweep.spec import SpecError, SweepSpec, load_spec, parse_spec


def create_run(
    root: Path, spec: SweepSpec, manifest: DatasetManifest | None, carried: Carried
) -> Path:
    """Create the run directory of a new sweep, with its spec, provenance and carried files.

    A directory whose start was killed before its sweep began is overwritten.

    Raises:
        RunError: A run of this name exists already, or another process is creating it.
    """
    run = root / spec.name
    if run.exists() and not (_only_prepared(run) or holder_of(run)):
        raise RunError(
            f"{run} already holds a run; continue it with "
            f"`python -m tune resume {shell_path(run)}`, or give this one another --name"
        )
    run.mkdir(parents=True, exist_ok=True)
    sync_folder(root)
    with hold(run):
        carried.copy_into(run)
        copy_code(run, spec)
        write_spec(run, spec)
        write_provenance(run, spec, manifest, carried.origin)
    return run


def _only_prepared(run: Path) -> bool:
    """Return whether a directory only holds files that are written before a sweep begins."""
    prepared = {INITIAL_FILE, GROUPS_FILE, CODE_DIR, SPEC_FILE, PROVENANCE_FILE, LEASE_FILE}
    left = [path for path in run.iterdir() if path.name.removeprefix(".") not in prepared]
    # A partial file is named after the complete one, with a dot before and a number after it.
    left = [path for path in left if path.stem.removeprefix(".") not in prepared]
    return all(path.name == LEDGER_FILE and path.stat().st_size == 0 for path in left)


def write_spec(run: Path, spec: SweepSpec) -> None:
    """Write the spec of a run atomically."""
    write_text(run / SPEC_FILE, spec.to_yaml())


def write_provenance(
    run: Path,
    spec: SweepSpec,
    manifest: DatasetManifest | None,
    origin: Mapping[str, str] | None = None,
) -> None:
    """Write the provenance of a run atomically; ``manifest`` is None for data that is not ours."""
    values = _provenance(spec, manifest) | ({} if origin is None else {"origin": dict(origin)})
    write_text(run / PROVENANCE_FILE, json.dumps(values, indent=2) + "\n")


def read_spec(run: Path) -> SweepSpec:
    """Read the spec of a run, from its ledger if ``spec.yaml`` is missing or damaged.

    Raises:
        RunError: ``run`` is not a run directory or was imported, or neither file can be read.
    """
    _check_run(run)
    _refuse_imported(run)
    try:
        return load_spec(run / SPEC_FILE, recorded=True)
    except SpecError as error:
        if (found := _spec_in_ledger(run)) is not None:
            return found
        raise RunError(
            f"{run} has no spec and no ledger that can be read ({error}), so nothing was trained; "
            "start again with `python -m tune run`"
        ) from error


def _refuse_imported(run: Path) -> None:
    if (imported := import_of(run)) is not None:
        raise RunError(
            f"{run} was imported from {imported['tool']} on {imported['date']}, so it has no spec, "
            "data or weights to go on with; `python -m analysis report` and `table` read it, and "
            "`warm_start:` in a new spec learns from it"
        )


def import_of(run: Path) -> Mapping[str, str] | None:
    """Return ``tool``, ``source`` and ``date`` of a run that `analysis import` made, or None."""
    found: Mapping[str, str] | None = (_load_provenance(run) or {}).get("imported")
    return found


def _spec_in_ledger(run: Path) -> SweepSpec | None:
    events = read_events(run) if (run / LEDGER_FILE).is_file() else []
    specs = [e.spec for e in events if isinstance(e, SweepStarted | SweepResumed | SweepExtended)]
    return (
        parse_spec(load_yaml(specs[-1], "the ledger"), "the ledger", recorded=True)
        if specs
        else None
    )


def has_spec(run: Path) -> bool:
    """Return whether a run's ``spec.yaml`` exists and is valid."""
    try:
        load_spec(run / SPEC_FILE, recorded=True)
    except SpecError:
        return False
    return True


def has_provenance(run: Path) -> bool:
    """Return whether a run's ``provenance.json`` exists and is valid."""
    return _load_provenance(run) is not None


def _load_provenance(run: Path) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = json.loads((run / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return values


def _check_run(run: Path) -> None:
    ledger = run / LEDGER_FILE
    if not ledger.is_file() and not (run / SPEC_FILE).is_file():
        raise RunError(
            f"{run} is not a run directory; `python -m tune list` shows those below {RUNS}"
        )
    begun = ledger.is_file() and ledger.stat().st_size > 0
    if not begun and (lost := next((n for n in _TRAINED if (run / n).exists()), None)):
        raise RunError(
            f"{ledger} is empty or missing, but {run} was trained (it has {lost}); restore the "
            "ledger from a copy, or start a new run under another --name"
        )


_TRAINED = (CHECKPOINTS_DIR, PREDICTIONS_DIR)
"""Folders that exist in a run after its first epochs."""


def read_provenance(run: Path) -> dict[str, Any]:
    """Read the provenance of a run.

    Raises:
        RunError: ``run`` is not a run directory, or the file is missing or damaged.
    """
    _check_run(run)
    values = _load_provenance(run)
    if values is None:
        raise RunError(
            f"{run / PROVENANCE_FILE} is missing or damaged; "
            f"`python -m tune resume {shell_path(run)}` writes it again"
        )
    return values


def find_dataset(run: Path, data: str | Path | None) -> ImageDataset:
    """Read the dataset of a run, from ``data`` if it was moved, with the run's own columns.

    Raises:
        MissingFileError: The dataset does not exist.
        RunError: The dataset is not the one that the run was made with, or the run was imported.
        UserError: The content of the dataset does not match its fingerprint.
    """
    _refuse_imported(run)
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


def _provenance(spec: SweepSpec, manifest: DatasetManifest | None) -> dict[str, Any]:
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
            "path": _absolute(spec.data),
            "name": None if manifest is None else manifest.name,
            "fingerprint": None if manifest is None else manifest.fingerprint,
        },
    }


def _absolute(place: str) -> str | None:
    if not place:
        return None
    return place if is_url(place) else str(Path(place).resolve())


def _git() -> dict[str, Any] | None:
    """Return the commit of this code and whether it has changes; None without git."""

    def ask(*words: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
