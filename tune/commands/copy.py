"""`tune copy`: copy a run directory to an object store."""

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs

from fairsweep.errors import one_line
from tune.commands.options import add_run
from tune.run.directory import LEASE_FILE, LEDGER_FILE, RAY_DIR, RETRY_FILE, STOP_FILE, RunError
from tune.session.run_directory import read_spec
from tune.session.store import open_store

EXAMPLE = "runs/quick s3://bucket/runs/quick"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and the target."""
    add_run(command)
    command.add_argument("url", metavar="URL", help="s3://…, gs://… or a folder")


def run(parsed: argparse.Namespace) -> int:
    """Copy the run, print the number of copied files, and return 0."""
    print(f"{copy_run(parsed.run, parsed.url)} files of {parsed.run} copied to {parsed.url}")
    return 0


def copy_run(run: Path, url: str) -> int:
    """Copy a run directory to an object store, and return the number of copied files.

    The run may still be running. Files that the store already has, no older and of the same size,
    are not copied again. The ledger is copied last, so the copy holds every file that the ledger
    mentions and can be resumed like a killed run.

    Raises:
        RunError: ``run`` is not a run directory, or the store cannot be written.
        UserError: The URL is not that of a store, or the store cannot be reached.
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
            continue  # The sweep has removed the file since.
        except OSError as error:
            raise RunError(f"cannot write to {url}: {one_line(error)}") from error
    return copied


def _files_of(run: Path) -> Iterator[Path]:
    """Yield the files of a run that are needed elsewhere, the ledger last."""
    for path in sorted(run.rglob("*")):
        first = path.relative_to(run).parts[0]
        ours = not (
            first in (RAY_DIR, LEASE_FILE, LEDGER_FILE) or first.startswith((STOP_FILE, RETRY_FILE))
        )
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
