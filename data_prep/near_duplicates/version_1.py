"""The near-duplicate search of earlier datasets: a perceptual hash proposes, correlation confirms.

It compares stored pixels, so it finds less the larger they are, and its groups are chains. It stays
so that such datasets, and the ids of their trials, can be made again.
"""

from typing import cast

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MAX_HASH_DISTANCE = 16
"""Bits of 64 in which the perceptual hashes of a candidate pair may differ."""
MIN_CORRELATION = 0.6
"""Lowest correlation of fine structure that confirms a candidate pair.

Seen on FER2013's labelled pictures: correlations have one heap around 0.3 (different people, alike
in pose and light) and one around 0.9, with the valley here; of 60 pairs looked at between 0.60 and
0.65 about 50 were crops of one photo, between 0.55 and 0.60 about 30. Plain correlation of gray
values has no such valley: frontal faces of different people reach 0.92.
"""
BLUR_SIGMA = 3.0
"""What a Gaussian of this many pixels keeps (pose, light) is taken away before correlating."""
MAX_SHIFT = 3
"""Pixels by which one picture may be shifted against the other, in each direction."""
CHUNK = 256
"""Pictures or pairs compared at once, which bounds memory."""

Pictures = npt.NDArray[np.uint8]
Pairs = npt.NDArray[np.int64]
Spectra = npt.NDArray[np.complex64]


def chained_groups(pictures: Pictures) -> npt.NDArray[np.int64]:
    """Return the (n,) connected components of the near-identical pairs of distinct pictures.

    Args:
        pictures: (n, height, width) gray values.
    """
    pairs = near_pairs(pictures)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(pictures),) * 2)
    return cast("npt.NDArray[np.int64]", connected_components(links, directed=False)[1])


def near_pairs(pictures: Pictures) -> Pairs:
    """Find near-identical pairs among (n, height, width) distinct pictures.

    A perceptual hash proposes, correlation of fine structure under small shifts confirms.

    Returns:
        (pairs, 2) places of the two pictures, the lower first.
    """
    candidates = _close_hashes(np.array([_hash(picture) for picture in pictures], dtype=np.uint64))
    spectra = _fine_spectra(pictures)
    confirmed = np.zeros(len(candidates), dtype=bool)
    for start in range(0, len(candidates), CHUNK):
        rows = slice(start, start + CHUNK)
        first, second = spectra[candidates[rows, 0]], spectra[candidates[rows, 1]]
        confirmed[rows] = _correlation(first, second, pictures.shape[1:]) >= MIN_CORRELATION
    return candidates[confirmed]


def fine_correlation(first: Pictures, second: Pictures) -> npt.NDArray[np.float32]:
    """Correlate the fine structure of (n, height, width) pictures, pair by pair.

    Returns:
        (n,) the best circular cross-correlation over all shifts of up to ``MAX_SHIFT``, 1 for
        equal pictures; 0 where a picture is flat.
    """
    return _correlation(_fine_spectra(first), _fine_spectra(second), first.shape[1:])


def _fine_spectra(pictures: Pictures) -> Spectra:
    """Return the Fourier transforms of the pictures' fine structure, of mean 0 and length 1."""
    fine = pictures.astype(np.float32)
    fine -= gaussian_filter(fine, (0, BLUR_SIGMA, BLUR_SIGMA))
    fine -= fine.mean(axis=(1, 2), keepdims=True)
    fine /= np.maximum(np.linalg.norm(fine, axis=(1, 2), keepdims=True), 1e-3)
    return cast("Spectra", rfft2(fine))


def _correlation(
    first: Spectra, second: Spectra, shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Cross-correlate pairs by their spectra (the correlation theorem)."""
    shifts = np.arange(-MAX_SHIFT, MAX_SHIFT + 1)
    correlations = irfft2(first.conj() * second, s=shape)[:, shifts[:, None], shifts]
    return cast("npt.NDArray[np.float32]", correlations.max(axis=(1, 2)))


def _hash(picture: Pictures) -> int:
    """Return the 64-bit perceptual hash (signs of the lowest DCT coefficients)."""
    return int(str(imagehash.phash(Image.fromarray(picture))), 16)


def _close_hashes(hashes: npt.NDArray[np.uint64]) -> Pairs:
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(hashes), CHUNK):
        distances = np.bitwise_count(hashes[start : start + CHUNK, None] ^ hashes[start:])
        pairs = np.argwhere(distances <= MAX_HASH_DISTANCE)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]] + start)
    return np.concatenate(found)
