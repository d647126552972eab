"""What Ray needs of a machine, checked before it starts there: open files and disk space."""

import os
import resource
import shutil
from pathlib import Path

from fairsweep.errors import UserError

_FILES = 1 << 16
"""Open files that are enough for a Ray on a large machine."""
_FILES_OF_SERVER, _FILES_OF_WORKER = 58, 3
"""Open files of a raylet, and more for each worker, of which it can start one for each core. With
fewer, Ray does not start, or its raylet ends when the last workers start."""
_LOG_BYTES = 20_000_000
"""Disk space for Ray's logs; those of a sweep of a few minutes take less than 1 MB."""
_STORES_OF_DATA = 3
"""How often a dataset fits into the object store."""
_SHARED_MEMORY = Path("/dev/shm")


def allow_files(cores: int) -> None:
    """Raise this process's limit of open files, which Ray's processes inherit.

    Args:
        cores: Cores that Ray may use on this machine.

    Raises:
        UserError: The largest limit that is allowed is too small for Ray.
    """
    needed = _FILES_OF_SERVER + _FILES_OF_WORKER * cores
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UserError(
            f"Ray needs at least {needed} open files on {cores} cores, and {hard} are allowed "
            "here; raise the hard limit (`ulimit -Hn`)"
        )
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def require_space(folder: Path, *, object_store_bytes: int) -> None:
    """Check that there is room for Ray's logs, and for the dataset if it is shared on disk.

    Ray keeps shared objects in its folder if ``/dev/shm`` has less room than its object store.
    There, the system would kill a process that writes to them when the disk is full.

    Args:
        folder: Where the folder of a Ray is made.
        object_store_bytes: The size of its object store.

    Raises:
        UserError: There is too little room.
    """
    on_disk = _free_shared_memory() < object_store_bytes
    needed = _LOG_BYTES + (object_store_bytes // _STORES_OF_DATA if on_disk else 0)
    free = shutil.disk_usage(folder).free
    if free < needed:
        data = f" and the dataset, for which {_SHARED_MEMORY} is too small" if on_disk else ""
        raise UserError(
            f"only {free / 1e6:.0f} MB are free in {folder}, but Ray needs "
            f"{needed / 1e6:.0f} MB there for its logs{data}; free some, or set RAY_TMPDIR to a "
            "folder on a larger disk"
        )


def _free_shared_memory() -> int:
    """Return the free bytes of shared memory, as Ray counts them; 0 on a system without."""
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return 0
    return found.f_bsize * found.f_bavail
