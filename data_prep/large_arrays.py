"""Arrays of pixels that may be larger than the memory; large ones are in files without a name.

The system removes such a file when nothing uses it any more, even after a kill.
"""

import os
import tempfile
from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from fairsweep.disk_space import enough_space

Pixels = npt.NDArray[np.uint8]
LARGE_BYTES = 1 << 30
"""Larger arrays are in files."""
PART_BYTES = 1 << 26
"""Bytes that are copied together."""


def new_pixels(shape: tuple[int, ...], *, large: bool = False) -> Pixels:
    """Return a new array; if it is large or ``large`` is set, in a temporary file.

    Raises:
        UserError: The disk is full.
    """
    size = prod(shape)
    if size <= LARGE_BYTES and not large:
        return np.empty(shape, np.uint8)
    what = f"{size / 1e9:.1f} GB of pixels in {tempfile.gettempdir()}"
    with tempfile.TemporaryFile() as file, enough_space(what, "point TMPDIR to another disk"):
        # Allocated now, because writing to a mapped file on a full disk kills the process.
        os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, np.uint8, "r+", shape=shape)


def take(pixels: Pixels, rows: npt.NDArray[np.int64]) -> Pixels:
    """Return the pictures of ``rows``; ``pixels`` itself if these are all rows in order."""
    if len(rows) == len(pixels) and np.array_equal(rows, np.arange(len(pixels))):
        return pixels
    taken = new_pixels((len(rows), *pixels.shape[1:]))
    for part in parts(taken):
        taken[part] = pixels[rows[part]]
    return taken


def concatenate(arrays: Sequence[Pixels]) -> Pixels:
    """Concatenate the pictures of all arrays; a single array is returned itself."""
    if len(arrays) == 1:
        return arrays[0]
    joined = new_pixels((sum(map(len, arrays)), *arrays[0].shape[1:]))
    first = 0
    for array in arrays:
        joined[first : first + len(array)] = array
        first += len(array)
    return joined


def parts(pixels: Pixels) -> list[slice]:
    """Return slices that cover all pictures, each of about ``PART_BYTES``."""
    step = max(1, PART_BYTES // max(1, prod(pixels.shape[1:])))
    return [slice(first, first + step) for first in range(0, len(pixels), step)]


class Spool:
    """Keeps single pictures: the first gigabyte in memory, the rest in files."""

    def __init__(self) -> None:
        self._chunk = np.empty(0, np.uint8)
        self._used = self._all = 0

    def keep(self, picture: Pixels) -> Pixels:
        """Return a copy of ``picture`` in the spool."""
        if self._used + picture.nbytes > len(self._chunk):
            size = max(PART_BYTES, picture.nbytes)
            self._chunk = new_pixels((size,), large=self._all + size > LARGE_BYTES)
            self._used, self._all = 0, self._all + size
        kept = self._chunk[self._used : self._used + picture.nbytes].reshape(picture.shape)
        kept[...] = picture
        self._used += picture.nbytes
        return kept
