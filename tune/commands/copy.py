"""`tune copy`: copy a run directory to an object store."""

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs

from tune.commands.options import add_run
from tune.run.directory import LEASE_FILE, LEDGER_FILE, RAY_DIR, STOP_FILE, RunError
from tune.session.run_directory import read_spec
from tune.session.store import open_store

EXAMPLE = "runs/quick s3://bucket/runs/quick"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and where it goes."""
    add_run(command)
    command.add_argument("url", metavar="URL", help="s3://…, gs://… or a folder")


def run(parsed: argparse.Namespace) -> int:
    """Copy the run, print how many files that took, and return 0."""
    print(f"{copy_run(parsed.run, parsed.url)} files of {parsed.run} copied to {parsed.url}")
    return 0


def copy_run(run: Path, url: str) -> int:
    """Copy a run directory to an object store, also while it grows; return how many files it took.

    Files that are there already, no older and of the same size, are not copied again. The ledger
    goes last: what it tells of is there, and a copy can be resumed like a killed run.

    Raises:
        RunError: ``run`` is no run directory.
        ValueError: The URL is of no store that can be written.
    """
    read_spec(run)
    store, base = open_store(url)
    copied = 0
    for path in _files_of(run):
        target = f"{base}/{path.relative_to(run)}"
        try:
            with path.open("rb") as source:
                if not _has(store, target, os.fstat(source.fileno())):
                    if isinstance(store, pafs.LocalFileSystem):
                        Path(target).parent.mkdir(parents=True, exist_ok=True)
                    with store.open_output_stream(target) as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
                    copied += 1
        except FileNotFoundError:
            continue  # The sweep has tidied it away meanwhile.
        except OSError as error:
            raise RunError(f"cannot write to {url}: {' '.join(str(error).split())}") from error
    return copied


def _files_of(run: Path) -> Iterator[Path]:
    """Yield the files of a run that mean something elsewhere, the ledger last."""
    for path in sorted(run.rglob("*")):
        first = path.relative_to(run).parts[0]
        ours = not (first in (RAY_DIR, LEASE_FILE, LEDGER_FILE) or first.startswith(STOP_FILE))
        if ours and path.is_file() and not path.name.startswith("."):
            yield path
    yield run / LEDGER_FILE


def _has(store: pafs.FileSystem, target: str, status: os.stat_result) -> bool:
    there = store.get_file_info(target)
    return bool(
        there.type == pafs.FileType.File
        and there.size == status.st_size
        and there.mtime_ns >= status.st_mtime_ns
    )
