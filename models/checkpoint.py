"""Checkpoint files: written atomically, and read without running code from them."""

import fcntl
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile, ZipFile

import torch

from fairsweep.durable import sync_folder
from fairsweep.errors import UserError

_UNREADABLE = (BadZipFile, EOFError, OSError, RuntimeError, ValueError, pickle.UnpicklingError)
"""Exceptions of zipfile and torch on a damaged file."""


class CheckpointError(UserError):
    """A file is damaged or is not a checkpoint."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``path`` atomically.

    An existing file stays until the new one is safely on disk. Each writer has its own partial
    file, because a writer on a disconnected node may still run beside the one that replaced it.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # Held until this process closes the file or dies.
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    _remove_left_over(path)


def _remove_left_over(path: Path) -> None:
    """Remove partial files of killed writers."""
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        with suppress(OSError), partial.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


def load(path: Path) -> dict[str, Any]:
    """Read the state in ``path``, with its tensors on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged or not a checkpoint.
    """
    with path.open("rb") as file:
        try:
            # torch itself does not verify checksums.
            damaged = ZipFile(file).testzip()
            if damaged is not None:
                raise BadZipFile(f"{damaged} has a wrong checksum")
            file.seek(0)
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CheckpointError(
                f"{path} is damaged or not a checkpoint; delete it: {reason}"
            ) from error
    return state
