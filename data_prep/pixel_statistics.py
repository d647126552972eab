"""Mean and standard deviation of pixels, computed in parts to save memory."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_prep.large_arrays import Pixels, parts
from data_prep.manifest import Scale


def means_and_stds(pixels: Pixels, chosen: npt.NDArray[np.bool_]) -> tuple[Scale, Scale]:
    """Return mean and standard deviation on a scale of 0 to 1.

    Args:
        pixels: (n, height, width) gray values, or (n, height, width, 3) colours.
        chosen: (n,) True for the pictures to use.

    Returns:
        Two numbers for gray values; for colours two tuples with a number per channel.
    """
    channels = 1 if pixels.ndim == 3 else pixels.shape[3]
    counts = np.zeros((channels, 256), np.int64)
    for part in parts(pixels):
        values = pixels[part][chosen[part]]
        if len(values):
            # Pillow counts in a quarter of the time of np.bincount, which needs 64-bit numbers.
            joined = Image.fromarray(values.reshape(-1, *pixels.shape[2:]))
            counts += np.array(joined.histogram()).reshape(channels, 256)
    means, stds = zip(*map(_mean_and_std, counts), strict=True)
    return (means[0], stds[0]) if pixels.ndim == 3 else (means, stds)


def _mean_and_std(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation, given the number of pixels with each value."""
    values = np.arange(256)
    mean = counts @ values / counts.sum()
    variance = counts @ values**2 / counts.sum() - mean**2
    return float(mean / 255), float(np.sqrt(variance) / 255)
