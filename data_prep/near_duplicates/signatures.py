"""Reduces pictures of any size to what the near-duplicate search compares, at one working size.

All steps from pixels to signature are linear, so each is a matrix that multiplies rows and columns.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.ndimage import gaussian_filter1d

from data_prep.near_duplicates.threads import in_threads

WORKING_SIDE = 48
"""Pixels to which height and width are brought, whatever the stored size."""
BAND_SIDE = 24
"""Height and width of the coarse pictures: every second working pixel."""
COARSE = (1.0, 4.0)
"""Deviations of the two Gaussians, in working pixels, whose difference pairs are aligned by."""
FINE = (0.7, 2.0)
"""The same for the details that an aligned pair is judged by."""
COEFFICIENTS = 8
"""Lowest frequencies of the cosine transform in each direction."""
GRAY_FREQUENCY, COLOUR_FREQUENCY = 7.1, 4.3
"""Highest radial frequency of the descriptor, in half waves a side."""
SHARPENING = 0.8
"""Power of the frequency that multiplies a coefficient: photos have less of high frequencies."""
CHROMA_WEIGHT = 2.0
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Shares of red, green and blue in a gray value (ITU-R BT.601)."""
BLOCK_VALUES = 1 << 22
"""Pixel values reduced at once, which bounds memory."""

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Signatures:
    """What is compared of n pictures: under 4 kB each."""

    descriptors: Floats
    """(n, d) unit vectors of low frequencies, of gray values and of colour; for candidates."""
    coarse: Halves
    """(n, 24, 24) band-passed gray values by which a pair is aligned."""
    gray: Bytes
    """(n, 48, 48) gray values, whose details judge an aligned pair."""

    def details(self, rows: Rows) -> Floats:
        """Return the (rows, 48, 48) band-passed details of these pictures."""
        gray = self.gray[rows].astype(np.float32)
        return cast("Floats", _filtered(gray, _blur(FINE[0])) - _filtered(gray, _blur(FINE[1])))


def signatures(pictures: npt.NDArray[np.uint8], rows: Rows | None = None) -> Signatures:
    """Reduce pictures, a block at a time.

    Args:
        pictures: (n, height, width) gray values or (n, height, width, 3) colours.
        rows: The pictures to take; all by default.
    """
    rows = np.arange(len(pictures)) if rows is None else rows
    blocks = max(1, len(rows) * pictures[0].size // BLOCK_VALUES)
    parts = in_threads(lambda block: _reduce(pictures[block]), np.array_split(rows, blocks))
    descriptors, coarse, gray = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Signatures(descriptors=descriptors, coarse=coarse, gray=gray)


def _reduce(pictures: npt.NDArray[np.uint8]) -> tuple[Floats, Halves, Bytes]:
    planes = pictures[..., None] if pictures.ndim == 3 else pictures
    down, across = (_resizing(side) for side in planes.shape[1:3])
    small = [down @ planes[..., c].astype(np.float32) @ across.T for c in range(planes.shape[3])]
    gray = small[0]
    if len(small) == 3:
        red, green, blue = small
        gray = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    chroma = [] if len(small) == 1 else [small[0] - gray, small[2] - gray]
    narrow, wide = (_filtered(gray, _halving() @ _blur(deviation)) for deviation in COARSE)
    return (
        _descriptors(gray, chroma),
        (narrow - wide).astype(np.float16),
        np.rint(gray).clip(0, 255).astype(np.uint8),
    )


def _resizing(side: int) -> Floats:
    """Return the (48, side) matrix that averages over areas, or enlarges linearly."""
    scale = side / WORKING_SIDE
    if side >= WORKING_SIDE:
        edges = np.arange(WORKING_SIDE + 1)[:, None] * scale
        covered = np.diff(np.clip(edges - np.arange(side), 0, 1), axis=0)
        return cast("Floats", (covered / scale).astype(np.float32))
    centres = (np.arange(WORKING_SIDE)[:, None] + 0.5) * scale - 0.5
    weights = np.clip(1 - np.abs(centres.clip(0, side - 1) - np.arange(side)), 0, None)
    return cast("Floats", weights.astype(np.float32))


def _filtered(pictures: Floats, matrix: Floats) -> Floats:
    """Multiply rows and columns with the matrix of a filter."""
    return cast("Floats", matrix @ pictures @ matrix.T)


def _blur(deviation: float) -> Floats:
    """Return the (48, 48) matrix of a Gaussian filter."""
    blur = gaussian_filter1d(np.eye(WORKING_SIDE), deviation, axis=0, mode="nearest")
    return cast("Floats", blur.astype(np.float32))


def _halving() -> Floats:
    """Return the (24, 48) matrix that averages neighbours."""
    return np.kron(np.eye(BAND_SIDE), [[0.5, 0.5]]).astype(np.float32)


def _descriptors(gray: Floats, chroma: list[Floats]) -> Floats:
    """Return unit vectors of the lowest frequencies but the mean gray, which light changes."""
    cosines = dct(np.eye(WORKING_SIDE), norm="ortho", axis=0)[:COEFFICIENTS].astype(np.float32)
    frequency = np.hypot(*np.mgrid[:COEFFICIENTS, :COEFFICIENTS])
    weights = (np.maximum(frequency, 0.5) ** SHARPENING).astype(np.float32)
    of_gray = (frequency > 0) & (frequency <= GRAY_FREQUENCY)
    of_colour = frequency <= COLOUR_FREQUENCY
    parts = [(weights * _filtered(gray, cosines))[:, of_gray]]
    parts += [
        (CHROMA_WEIGHT * weights * _filtered(plane, cosines))[:, of_colour] for plane in chroma
    ]
    vectors = np.concatenate(parts, axis=1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return cast("Floats", vectors / np.maximum(lengths, 1e-3))
