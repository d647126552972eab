"""Checkpoints on disk: written whole or not at all, read without running any code in them."""

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


class CheckpointError(UserError):
    """A checkpoint file is damaged or is none."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``path``, whole or not at all.

    What stood there before stays until the new one is safely on disk. Each writer has a partial
    file of its own: one on a node that is cut off may still write beside the one in its place.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # Until its writer closes it, or dies.
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    _remove_left_over(path)


def _remove_left_over(path: Path) -> None:
    """Remove partial files of writers that were killed."""
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        with suppress(OSError), partial.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


def load(path: Path) -> dict[str, Any]:
    """Read the state in ``path``, its tensors on the CPU.

    Raises:
        MissingFileError: There is no such file.
        CheckpointError: The file is cut short, otherwise damaged, or no checkpoint.
    """
    with path.open("rb") as file:
        try:
            # torch checks no checksum itself.
            damaged = ZipFile(file).testzip()
            if damaged is not None:
                raise BadZipFile(f"{damaged} has another checksum")
            file.seek(0)
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except (BadZipFile, OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise CheckpointError(
                f"{path} is damaged or no checkpoint; delete it: {reason}"
            ) from error
    return state
