"""Draws folders of large colour pictures with the statistics of photos, at some 1,000 a second.

Real sets of this size cannot be shipped. Each picture is the sum of two of a few thousand random
fields, mirrored or not, whose spectrum falls like that of photos (Field 1987). No two pictures
share both fields, so their details correlate by at most about a half. Some pictures have a planted
near-duplicate.
"""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_prep.in_parallel import in_order

SIDE = 224
CLASSES = 10
FIELDS = 2000
COPY_EVERY = 100
"""Every so many pictures, one is a crop of the picture before it."""
CROP = 0.04
"""Share of a side that such a crop lacks at each of its ends."""
SPECTRUM = 1.2
"""Power of the frequency by which amplitudes fall."""
QUALITY = 85

Field = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Drawing:
    """One picture to draw."""

    number: int
    first: int
    second: int

    @property
    def is_copy(self) -> bool:
        """Whether it is a crop of the picture before it."""
        return self.number % COPY_EVERY == COPY_EVERY - 1

    @property
    def original(self) -> int:
        """Number of the picture that it shows."""
        return self.number - self.is_copy

    @property
    def path(self) -> str:
        """Path below the folder of all pictures; the first field decides the class."""
        return f"{self.first % CLASSES}/{self.number:06d}.jpg"


def draw_photos(folder: Path, count: int) -> None:
    """Write ``count`` JPEG files into class folders below ``folder``."""
    for name in range(CLASSES):
        (folder / str(name)).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        file = f"{temporary}/fields.npy"
        fields = np.lib.format.open_memmap(file, "w+", np.int8, (FIELDS, SIDE, SIDE, 3))
        for number in range(FIELDS):
            fields[number] = _field(number)
        fields.flush()
        draw = partial(_draw, file, folder)
        for _ in in_order(draw, _drawings(count)):
            pass


def _drawings(count: int) -> Iterator[Drawing]:
    """Yield the pictures; each has a pair of fields of its own, a copy that of its original."""
    pairs = np.random.default_rng(0).choice(FIELDS * (FIELDS - 1) // 2, count, replace=False)
    for number in range(count):
        pair = int(pairs[number - (number % COPY_EVERY == COPY_EVERY - 1)])
        second = (1 + math.isqrt(1 + 8 * pair)) // 2
        yield Drawing(number, pair - second * (second - 1) // 2, second)


def _field(number: int) -> Field:
    """Return (224, 224, 3) values around 0, mostly gray."""
    generator = np.random.default_rng([1, number])
    frequencies = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)) * SIDE
    amplitudes = (np.maximum(frequencies, 1) ** -SPECTRUM)[..., None]
    phases = generator.uniform(0, 2 * np.pi, (*frequencies.shape, 3))
    planes = np.fft.irfft2(amplitudes * np.exp(1j * phases), (SIDE, SIDE), axes=(0, 1))
    planes = planes[..., :1] + 0.4 * planes  # Red, green and blue have most in common.
    values: Field = (planes * (30 / planes.std())).clip(-127, 127).astype(np.int8)
    return values


def _draw(fields: str, folder: Path, drawing: Drawing) -> None:
    first, second = (_all(fields)[row] for row in (drawing.first, drawing.second))
    turn = np.random.default_rng(drawing.original).integers(0, 2, 6)
    first, second = _mirrored(first, turn[:3]), _mirrored(second, turn[3:])
    pixels = (first.astype(np.int16) + second + 128).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if drawing.is_copy:
        inner = (CROP * SIDE, CROP * SIDE, (1 - CROP) * SIDE, (1 - CROP) * SIDE)
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=inner)
    image.save(folder / drawing.path, quality=QUALITY)


def _mirrored(field: Field, turn: npt.NDArray[np.int64]) -> Field:
    """Mirror a field on up to three axes: down, across and diagonal."""
    field = field.transpose(1, 0, 2) if turn[2] else field
    return field[:: 1 - 2 * turn[0], :: 1 - 2 * turn[1]]


@lru_cache(maxsize=1)
def _all(fields: str) -> npt.NDArray[np.int8]:
    opened: npt.NDArray[np.int8] = np.load(fields, mmap_mode="r")
    return opened
