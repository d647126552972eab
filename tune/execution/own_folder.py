"""The folder for a local Ray's sockets and logs, which only its user can enter."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fairsweep.errors import UserError
from tune.execution.local_needs import require_space

_LOCK = "lock"
_SOCKET_BYTES = 107
"""Longest path of a socket: 108 bytes with the final zero on Linux (``unix(7)``). macOS allows
fewer, but its temporary folder is too long for Ray in any case."""
_BELOW = len("/session_2026-11-26_19-46-48_123456_1234567/sockets/plasma_store")
"""Length of the path that Ray appends to its temporary folder."""


@contextmanager
def ray_folder(*, object_store_bytes: int = 0) -> Iterator[Path]:
    """Create a locked folder for one local Ray, and remove it at the end.

    Folders of killed drivers are removed first. The folder is in ``RAY_TMPDIR``, in ``TMPDIR`` if
    that is not set, or else in ``/tmp``.

    Args:
        object_store_bytes: The size of Ray's object store.

    Raises:
        UserError: The path in ``RAY_TMPDIR`` is too long for a socket, or the disk is too full.
    """
    parent = _parent()
    _remove_old(parent)
    require_space(parent, object_store_bytes=object_store_bytes)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=_prefix()))  # With mode 0700.
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def job_folder(job: str) -> Iterator[Path]:
    """Create the folder of a Slurm job's Ray on this node, and remove it at the end.

    The folder is in ``RAY_TMPDIR``, or else in ``/tmp``. It is named after the job, because Ray
    needs the same path on all nodes. Folders of killed jobs are removed first.

    Raises:
        UserError: As `private_folder` and `ray_folder`.
    """
    name = f"{_prefix()}job-{job}"
    parent = _named_parent(name) or Path("/tmp")
    _remove_old(parent)
    require_space(parent, object_store_bytes=0)
    folder = private_folder(parent / name)
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # Two nodes of a job may be one machine.
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def private_folder(path: Path) -> Path:
    """Create a folder that only this user can enter, and return it.

    Raises:
        UserError: The path exists and is a link, a file, or owned by another user.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError(
            f"{path} must be a folder of your own, because it holds Ray's sockets; remove it, or "
            "set RAY_TMPDIR to another folder"
        )
    path.chmod(0o700)
    return path


def _parent() -> Path:
    name = f"{_prefix()}12345678"
    if (named := _named_parent(name)) is not None:
        return named
    temporary = Path(os.environ.get("TMPDIR") or "/tmp").absolute()
    return temporary if temporary.is_dir() and _is_short(temporary, name) else Path("/tmp")


def _named_parent(name: str) -> Path | None:
    """Return the folder that ``RAY_TMPDIR`` names, for one called ``name``; None if it is unset."""
    named = os.environ.get("RAY_TMPDIR")
    if not named:
        return None
    path = Path(named).absolute()
    if not _is_short(path, name):
        raise UserError(
            f"RAY_TMPDIR is {path}, too long for Ray's sockets in it; name a folder whose path "
            f"has fewer than {_most_bytes(name) + 1} characters"
        )
    path.mkdir(parents=True, exist_ok=True)
    return path


def _is_short(parent: Path, name: str) -> bool:
    return len(os.fsencode(parent)) <= _most_bytes(name)


def _most_bytes(name: str) -> int:
    """Return the longest path of a parent folder for a Ray in a folder called ``name``."""
    return _SOCKET_BYTES - _BELOW - len(f"/{name}")


def _prefix() -> str:
    return f"sweep-{os.getuid()}-"


def _remove_old(parent: Path) -> None:
    """Remove our folders that are no longer locked."""
    for folder in parent.glob(f"{_prefix()}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
                _remove_unless_locked(folder)


def _remove_unless_locked(folder: Path) -> None:
    with (folder / _LOCK).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
