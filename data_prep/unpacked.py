"""Pixels of a large dataset, unpacked once on a machine into a file that all processes map.

Whoever maps the file holds a shared lock on it. A file that nobody holds is removed by the last
process that held it, or, where that one was killed, by the next one that unpacks something.
"""

import atexit
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

BATCH_BYTES = 1 << 26
"""Pixels that are unpacked at once."""
LARGE_BYTES = 1 << 30
"""Datasets with more pixels than this are mapped; smaller ones are read into memory."""
_SUFFIX = ".pixels"
_held: dict[Path, IO[bytes]] = {}
"""Files that this process maps, open for as long as it lives."""


def map_pixels(images: Path, name: str, folder: Path) -> npt.NDArray[np.uint8]:
    """Return the pixels of a Parquet file, mapped from a file that this machine's processes share.

    Args:
        images: Parquet file with the columns ``pixels`` and ``content_hash``.
        name: Name of the unpacked file, the same for equal content only.
        folder: Where it lies: on a disk of this machine with room for all pixels.

    Returns:
        (n · bytes of a picture,) bytes that cannot be written to.

    Raises:
        ValueError: Pixels do not have the hash that stands beside them.
        OSError: The disk is full, or the file cannot be read.
    """
    file = folder / f"{name}{_SUFFIX}"
    with _sole_access(folder):
        if file not in _held:
            _remove_unused(folder, but=file)
            if not file.exists():
                _unpack(images, file)
            _hold(file)
    return np.memmap(file, np.uint8, "r")


@contextmanager
def _sole_access(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep other processes from making, taking and removing files in ``folder`` meanwhile.

    Raises:
        BlockingIOError: Another process does so, and ``wait`` is false.
    """
    with (folder / f"{_SUFFIX}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _unpack(images: Path, file: Path) -> None:
    """Write the pixels of all pictures one after another, checked against their hashes."""
    partial = file.with_suffix(".partial")
    with pq.ParquetFile(images, buffer_size=1 << 20) as source, partial.open("wb") as target:
        size = source.schema_arrow.field("pixels").type.byte_width
        rows = max(1, BATCH_BYTES // size)
        for batch in source.iter_batches(rows, columns=["pixels", "content_hash"]):
            for pixels, expected in zip(*(column.to_pylist() for column in batch), strict=True):
                if hashlib.sha256(pixels).hexdigest() != expected:
                    raise ValueError(f"a picture is not the one with content_hash {expected}")
                target.write(pixels)
        target.flush()
        os.fsync(target.fileno())
    partial.replace(file)


def _hold(file: Path) -> None:
    opened = file.open("rb")
    fcntl.flock(opened, fcntl.LOCK_SH)
    if not _held:
        atexit.register(_release)
    _held[file] = opened


def _release() -> None:
    """Give up the files of this process, and remove those that no other one maps."""
    with suppress(OSError):
        while _held:
            file, opened = _held.popitem()
            opened.close()
            with _sole_access(file.parent, wait=False):
                _remove_unused(file.parent)


def _remove_unused(folder: Path, but: Path | None = None) -> None:
    """Remove the files that no process maps, and what is left of broken attempts."""
    for partial in folder.glob("*.partial"):
        if partial.is_file():
            partial.unlink()
    for file in folder.glob(f"*{_SUFFIX}"):
        with suppress(BlockingIOError), file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file != but:
                file.unlink()
