"""Unpacks the pixels of a large dataset once per machine, into a file that all processes map.

A process that maps the file holds a shared lock on it. The last process removes the file. If that
process was killed, the next process that unpacks a dataset removes it.
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
import pyarrow as pa
import pyarrow.parquet as pq

BATCH_BYTES = 1 << 26
"""Bytes of pixels that are unpacked together."""
LARGE_BYTES = 1 << 30
"""Datasets with more pixels than this are mapped; smaller ones are read into memory."""
_SUFFIX = ".pixels"
_held: dict[Path, IO[bytes]] = {}
"""Files that this process maps; they stay open until it ends."""


def map_pixels(images: Path, name: str, folder: Path) -> tuple[npt.NDArray[np.uint8], bool]:
    """Return the pixels of a Parquet file, mapped from a file that this machine's processes share.

    Args:
        images: Parquet file with the columns ``pixels`` and ``content_hash``.
        name: Name of the unpacked file, unique for its content.
        folder: Folder of the unpacked file, on a local disk with space for all pixels.

    Returns:
        (n · bytes per picture,) read-only bytes; and whether this call unpacked them, and so
        checked them against the hashes in ``images``.

    Raises:
        ValueError: Pixels do not match their hash.
        OSError: The disk is full, or the file cannot be read.
    """
    file = folder / f"{name}{_SUFFIX}"
    unpacks = False
    with _sole_access(folder):
        if file not in _held:
            _remove_unused(folder, but=file)
            unpacks = not file.exists()
            if unpacks:
                _unpack(images, file)
                pa.default_memory_pool().release_unused()  # Arrow keeps what row groups took.
            _hold(file)
    return np.memmap(file, np.uint8, "r"), unpacks


@contextmanager
def _sole_access(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep other processes from creating, mapping or removing files in ``folder``.

    Raises:
        BlockingIOError: Another process has access, and ``wait`` is false.
    """
    with (folder / f"{_SUFFIX}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _unpack(images: Path, file: Path) -> None:
    """Write the pixels of all pictures in order, and check them against their hashes."""
    partial = file.with_suffix(".partial")
    with pq.ParquetFile(images, buffer_size=1 << 20) as source, partial.open("wb") as target:
        size = source.schema_arrow.field("pixels").type.byte_width
        rows = max(1, BATCH_BYTES // size)
        for batch in _batches(source, rows):
            for pixels, expected in zip(*(column.to_pylist() for column in batch), strict=True):
                if hashlib.sha256(pixels).hexdigest() != expected:
                    raise ValueError(f"a picture is not the one with content_hash {expected}")
                target.write(pixels)
        target.flush()
        os.fsync(target.fileno())
    partial.replace(file)


def _batches(source: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield pixels and hashes, with one row group in memory at a time.

    `ParquetFile.iter_batches` over all row groups keeps all of them.
    """
    for group in range(source.num_row_groups):
        table = source.read_row_group(group, columns=["pixels", "content_hash"])
        yield from table.to_batches(max_chunksize=rows)


def _hold(file: Path) -> None:
    opened = file.open("rb")
    fcntl.flock(opened, fcntl.LOCK_SH)
    if not _held:
        atexit.register(_release)
    _held[file] = opened


def _release() -> None:
    """Release the files of this process, and remove those that no other process maps."""
    with suppress(OSError):
        while _held:
            file, opened = _held.popitem()
            opened.close()
            with _sole_access(file.parent, wait=False):
                _remove_unused(file.parent)


def _remove_unused(folder: Path, but: Path | None = None) -> None:
    """Remove the files that no process maps, and partial files of killed processes."""
    for partial in folder.glob("*.partial"):
        if partial.is_file():
            partial.unlink()
    for file in folder.glob(f"*{_SUFFIX}"):
        with suppress(BlockingIOError), file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file != but:
                file.unlink()
