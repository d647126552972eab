"""The pictures of a dataset as a network gets them: transformed, reduced and normalised."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from models.augment import transform_pictures
from models.data import DeviceDataset
from models.input_size import resize
from models.trivial import change_pixels

NUMBERS_TOGETHER = 1 << 20
"""Most pixel values that a CPU transforms together. The intermediate values of a whole batch of
large pictures would exceed a core's cache: 64 colour pictures of 224 pixels, reduced to 64, take
91 ms together and 39 ms in parts (2026-11-28)."""


def network_input(
    data: DeviceDataset,
    rows: Tensor,
    shape: tuple[int, int],
    *,
    transforms: Tensor | None = None,
    changes: Tensor | None = None,
    pixels: Tensor | None = None,
) -> Tensor:
    """Return the pictures of ``rows`` as a network gets them.

    Args:
        data: The pictures.
        rows: (n,) row numbers.
        shape: Height and width that the network gets, of `input_shape`.
        transforms: (n, 2, 3) matrices of `transform_pictures`, or None.
        changes: (n, 3) operations of `change_pixels`, or None.
        pixels: What `DeviceDataset.gather` returned for ``rows``, if it was called before.

    Returns:
        (n, channels, height, width) float32, normalised.
    """
    parts = []
    for part in _parts(data, len(rows)):
        pictures = data.pictures(rows[part], None if pixels is None else pixels[part])
        if changes is not None:
            pictures = change_pixels(pictures, changes[part])
        if transforms is not None:
            pictures = transform_pictures(pictures, transforms[part])
        parts.append(resize(pictures, shape))
    return data.normalise(parts[0] if len(parts) == 1 else torch.cat(parts))


def _parts(data: DeviceDataset, count: int) -> Iterator[slice]:
    """Yield which of ``count`` pictures are transformed together: on a GPU, all."""
    numbers = data.image_channels * math.prod(data.image_shape)
    size = count if data.device.type != "cpu" else max(1, NUMBERS_TOGETHER // numbers)
    for start in range(0, count, size):
        yield slice(start, start + size)
