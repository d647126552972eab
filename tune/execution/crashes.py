"""Finds out why a worker process died, from the stack that it writes on a fatal signal."""

import faulthandler
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

from fairsweep.processor import processor_name

_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Illegal instruction": "SIGILL",
    "Bus error": "SIGBUS",
    "Floating-point exception": "SIGFPE",
    "Floating point exception": "SIGFPE",
}
"""Python's names of fatal signals; the last one is that of Python 3.11."""
_KILLED = (
    "its worker died without a message, as after SIGKILL; usually the machine ran out of memory, "
    "or somebody killed the process"
)
_files: list[IO[str]] = []
"""Keeps the file of this process open for the signal handler that writes to it."""


@dataclass(frozen=True, kw_only=True)
class Crash:
    """The end of a worker process without an exception."""

    reason: str
    """One line for the user."""
    signal: str | None = None
    """Name of the fatal signal; None if the worker left no stack."""
    stack: str = ""
    """Python stack at the signal."""


def note_crashes(folder: Path, actor_id: str) -> None:
    """Make this worker process write its stack to ``folder`` on a fatal signal."""
    folder.mkdir(exist_ok=True)
    file = _file(folder, actor_id).open("w", encoding="utf-8")
    file.write(f"torch {version('torch')}, numpy {version('numpy')}, {processor_name()}\n")
    file.flush()
    faulthandler.enable(file)
    _files.append(file)


def read_crash(folder: Path, actor_id: str) -> Crash:
    """Return why a worker process died, from the file it left in ``folder``."""
    path = _file(folder, actor_id)
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    where, _, stack = text.partition("\n")
    name = next((name for name in _SIGNALS if f"Fatal Python error: {name}" in stack), None)
    if name is None:
        return Crash(reason=_KILLED)
    signal = _SIGNALS[name]
    reason = (
        f"its worker crashed with {signal}; usually a library fails on this processor ({where})"
    )
    return Crash(reason=reason, signal=signal, stack=stack)


def forget_crashes(folder: Path) -> None:
    """Remove the files of all workers."""
    for path in folder.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


_PREFIX = ".worker-"


def _file(folder: Path, actor_id: str) -> Path:
    return folder / f"{_PREFIX}{actor_id}"
