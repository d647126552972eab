"""Aligns pairs of pictures as two crops of one photo, and measures how alike their details are.

Lucas and Kanade's method: Gauss-Newton steps on the difference of the normalised pictures
(Baker and Matthews 2004; that contrast does not matter is Evangelidis and Psarakis 2008).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.near_duplicates.candidates import Pairs
from data_prep.near_duplicates.signatures import BAND_SIDE, WORKING_SIDE, Signatures
from data_prep.near_duplicates.threads import in_threads

MIN_LIKENESS = 0.86
"""Lowest correlation of aligned details in a near-duplicate; docs/near_duplicates.md calibrates."""
STAGES = ((2, 0.55), (3, 0.75), (6, 0.75))
"""Steps, and the coarse correlation that a pair must then have to be aligned further."""
STEPS_BACK = 2
"""Steps from the inverse of a crop, to judge a pair the other way round too."""
MAX_SCALE = 1.5
MAX_SHIFT = 6.0
"""Limits of a crop; a shift in pixels of 24."""
MAX_STEP = np.array([0.08, 0.08, 1.5, 1.5])
CLOSE_CALL = 0.002
"""Pairs so near the threshold are judged again in double precision, alike on every machine."""
CHUNK = 256
"""Pairs aligned at once: what they need stays in the processor's cache."""

Floating = npt.NDArray[np.floating[Any]]


def likeness(signatures: Signatures, pairs: Pairs) -> npt.NDArray[np.float64]:
    """Return the (pairs,) correlation of details after alignment; 0 for pairs given up early."""
    starts = range(0, len(pairs), CHUNK)
    found = in_threads(
        lambda start: _likeness(signatures, pairs[start : start + CHUNK], np.float32), starts
    )
    alike = np.concatenate([np.zeros(0), *found])
    close = np.flatnonzero(np.abs(alike - MIN_LIKENESS) < CLOSE_CALL)
    for start in range(0, len(close), CHUNK):
        rows = close[start : start + CHUNK]
        alike[rows] = _likeness(signatures, pairs[rows], np.float64)
    return alike


def _likeness(signatures: Signatures, pairs: Pairs, precision: type[np.floating[Any]]) -> Floating:
    first, second = (signatures.coarse[pairs[:, side]].astype(precision) for side in (0, 1))
    crops = np.tile(np.array([1, 1, 0, 0], dtype=precision), (len(pairs), 1))
    left = np.arange(len(pairs))
    for steps, wanted in STAGES:
        crops[left], correlations = align(first[left], second[left], crops[left], steps)
        left = left[correlations >= wanted]
    back, _ = align(second[left], first[left], inverse(crops[left]), STEPS_BACK)
    first, second = (signatures.details(pairs[left, side]).astype(precision) for side in (0, 1))
    ways = ((first, second, _enlarged(crops[left])), (second, first, _enlarged(back)))
    alike = np.zeros(len(pairs), dtype=precision)
    # A picture that was enlarged is blurred, and resembles the other one blurred by resampling.
    alike[left] = np.maximum(*(np.einsum("nij,nij->n", *_overlap(*way)[:2]) for way in ways))
    return alike


def _enlarged(crops: Floating) -> Floating:
    """Return crops of coarse pictures as crops of ones at the working size."""
    return np.concatenate([crops[:, :2], crops[:, 2:] * (WORKING_SIDE / BAND_SIDE)], axis=1)


def inverse(crops: Floating) -> Floating:
    """Return the crops of the first pictures that belong to these of the second ones."""
    return _limited(np.concatenate([1 / crops[:, :2], -crops[:, 2:] / crops[:, :2]], axis=1))


def align(
    first: Floating, second: Floating, crops: Floating, steps: int
) -> tuple[Floating, Floating]:
    """Find the crops of the second pictures that are most like the first ones.

    Args:
        first: (n, 24, 24) pictures.
        second: (n, 24, 24) pictures.
        crops: (n, 4) where to begin: scale down and across, shift down and across in pixels.
        steps: How many to take.

    Returns:
        The best crops seen, and the (n,) correlations there.
    """
    best, highest = crops.copy(), np.full(len(crops), -1, dtype=crops.dtype)
    for step in range(steps + 1):
        mine, theirs, inside = _overlap(first, second, crops)
        correlations = np.einsum("nij,nij->n", mine, theirs)
        better = correlations > highest
        best[better], highest[better] = crops[better], correlations[better]
        if step < steps:
            crops = _limited(crops + _step(mine, theirs, inside, crops))
    return best, highest


def _overlap(
    first: Floating, second: Floating, crops: Floating
) -> tuple[Floating, Floating, Floating]:
    """Return both pictures where they overlap, of mean 0 and length 1, and the overlap's mask."""
    down, inside_down = _sampling(crops[:, 0], crops[:, 2], first.shape[1])
    across, inside_across = _sampling(crops[:, 1], crops[:, 3], first.shape[2])
    inside = inside_down[:, :, None] * inside_across[:, None, :]
    pixels = inside.sum(axis=(1, 2), keepdims=True).clip(1)
    cropped = down @ second @ across.transpose(0, 2, 1)
    mine, theirs = (_normalised(one * inside, inside, pixels) for one in (first, cropped))
    return mine, theirs, inside


def _normalised(picture: Floating, inside: Floating, pixels: Floating) -> Floating:
    picture = picture - inside * (picture.sum(axis=(1, 2), keepdims=True) / pixels)
    lengths = np.sqrt(np.einsum("nij,nij->n", picture, picture))
    normalised: Floating = picture / lengths.clip(1e-3)[:, None, None]
    return normalised


def _sampling(scales: Floating, shifts: Floating, side: int) -> tuple[Floating, Floating]:
    """Return (n, side, side) matrices that interpolate linearly, and which pixels lie inside."""
    places = _places(side).astype(scales.dtype)
    half = places[-1]
    wanted = scales[:, None] * places + shifts[:, None]
    weights = np.abs(wanted[:, :, None] - places)
    np.maximum(np.subtract(1, weights, out=weights), 0, out=weights)
    return weights, (np.abs(wanted) <= half).astype(scales.dtype)


def _places(side: int) -> npt.NDArray[np.float64]:
    """Return where pixels lie, counted from the centre."""
    return np.linspace(-(side - 1) / 2, (side - 1) / 2, side)


def _step(mine: Floating, theirs: Floating, inside: Floating, crops: Floating) -> Floating:
    """Return the Gauss-Newton step of each crop, damped by 2 % (Levenberg-Marquardt)."""
    places = _places(BAND_SIDE).astype(crops.dtype)
    slopes = np.zeros((len(crops), 4, *mine.shape[1:]), dtype=crops.dtype)
    np.subtract(theirs[:, 2:], theirs[:, :-2], out=slopes[:, 2, 1:-1])
    np.subtract(theirs[:, :, 2:], theirs[:, :, :-2], out=slopes[:, 3, :, 1:-1])
    for axis in (0, 1):  # the slope of the cropped picture, in pixels of the whole one
        slopes[:, 2 + axis] *= inside * (0.5 / crops[:, axis, None, None])
    np.multiply(slopes[:, 2], places[:, None], out=slopes[:, 0])
    np.multiply(slopes[:, 3], places, out=slopes[:, 1])
    flat = slopes.reshape(len(crops), 4, BAND_SIDE**2)
    hessians = flat @ flat.transpose(0, 2, 1)
    hessians[:, range(4), range(4)] *= 1.02
    hessians[:, range(4), range(4)] += 1e-6
    gradients = flat @ (mine - theirs).reshape(len(crops), BAND_SIDE**2, 1)
    largest = MAX_STEP.astype(crops.dtype)
    steps: Floating = np.linalg.solve(hessians, gradients)[:, :, 0].clip(-largest, largest)
    return steps


def _limited(crops: Floating) -> Floating:
    crops[:, :2] = crops[:, :2].clip(1 / MAX_SCALE, MAX_SCALE)
    crops[:, 2:] = crops[:, 2:].clip(-MAX_SHIFT, MAX_SHIFT)
    return crops
