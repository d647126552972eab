"""Reads sample pictures and pixel counts from the training split of a dataset, in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fairsweep.drawing.samples import SAMPLES

MOST_BYTES = 500_000_000
"""Maximum number of pixel values that are counted; a larger dataset is sampled."""
MOST_PIXELS = 96
"""Longest side of a sample picture, in pixels; larger ones are reduced."""
BATCH_BYTES = 16_000_000

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingPictures:
    """The result of one pass over the training pictures."""

    samples: Mapping[str, Pixels]
    """Class → (k, height, width) gray values or (k, height, width, 3) colours of k pictures, no
    two of them copies."""
    values: Mapping[str, Mapping[str, npt.NDArray[np.int64]]]
    """Channel (gray; or red, green, blue) → class → (256,) pixels of each value."""
    counted: int
    """Pictures whose pixels are in ``values``."""
    all: int
    """Training pictures."""

    @property
    def words(self) -> str:
        """Say whose pixels were counted."""
        if self.counted == self.all:
            return f"All pixels of {self.all:,} training pictures"
        return f"All pixels of {self.counted:,} of the {self.all:,} training pictures (at random)"


def read_training_pictures(
    file: Path, classes: Sequence[str], pixel_shape: Sequence[int], samples: int = SAMPLES
) -> TrainingPictures:
    """Count the pixel values of each class, and keep ``samples`` pictures of each.

    The pictures with the smallest hashes are kept and counted first, which is a random but
    reproducible choice.

    Args:
        file: ``images.parquet`` of a dataset.
        classes: Names of the classes.
        pixel_shape: (height, width), or (height, width, 3) in colour.
        samples: Pictures to keep per class.
    """
    channels = ("gray",) if len(pixel_shape) == 2 else ("red", "green", "blue")
    size = int(np.prod(pixel_shape))
    rows = _training_rows(file)
    sampled, counted = rows.samples(samples), rows.order[: max(1, MOST_BYTES // size)]
    kept: dict[str, list[Pixels]] = {name: [] for name in classes}
    values = {channel: {name: np.zeros(256, np.int64) for name in classes} for channel in channels}
    for at, labels, pixels in _batches(file, size):
        of_use = np.isin(at, counted)
        for name in set(labels[of_use]):
            of_class = pixels[of_use & (labels == name)].reshape(-1, len(channels))
            for place, channel in enumerate(channels):
                values[channel][name] += np.bincount(of_class[:, place], minlength=256)
        for row in np.flatnonzero(np.isin(at, sampled)):
            kept[labels[row]].append(_reduced(pixels[row].reshape(pixel_shape)))
    empty = _reduced(np.zeros(pixel_shape, np.uint8))
    stacked = {
        name: np.array(pictures, np.uint8).reshape(-1, *empty.shape)
        for name, pictures in kept.items()
    }
    return TrainingPictures(
        samples=stacked, values=values, counted=len(counted), all=len(rows.order)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _TrainingRows:
    """Row numbers of the training pictures in a random but reproducible order."""

    order: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]
    """Label of each, in this order."""
    copy: npt.NDArray[np.bool_]
    """Whether each is byte-identical to an earlier one."""

    def samples(self, count: int) -> npt.NDArray[np.int64]:
        """Return the first rows of each class, copies left out."""
        rows, labels = self.order[~self.copy], self.labels[~self.copy]
        return np.concatenate([rows[labels == name][:count] for name in set(labels)] or [rows])


def _training_rows(file: Path) -> _TrainingRows:
    names = pq.read_schema(file).names
    wanted = [name for name in ("image_id", "split", "label", "content_hash") if name in names]
    table = pq.read_table(file, columns=wanted)
    table = table.append_column("row", pa.array(np.arange(len(table))))
    table = table.filter(pa.compute.equal(table["split"], "train"))
    ids = table["image_id"].to_pylist()
    if "content_hash" in names:
        hashes = np.array(table["content_hash"].to_pylist(), str)
    else:
        hashes = np.array([sha256(image_id.encode()).hexdigest() for image_id in ids], str)
    order = np.lexsort((np.array(ids, str), hashes))
    hashes = hashes[order]
    copy = np.zeros(len(order), bool)
    copy[1:] = hashes[1:] == hashes[:-1]
    labels = np.array(table["label"].to_pylist(), object)[order]
    return _TrainingRows(order=table["row"].to_numpy()[order], labels=labels, copy=copy)


def _batches(
    file: Path, size: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[Any], Pixels]]:
    """Yield row numbers (n,), labels (n,) and pixels (n, size) of all pictures, in batches."""
    start = 0
    parquet = pq.ParquetFile(file)
    rows, columns = max(1, BATCH_BYTES // size), ["label", "pixels"]
    # Group by group, because `iter_batches` keeps all row groups that it goes through in memory.
    for batch in chain.from_iterable(
        parquet.iter_batches(rows, row_groups=[group], columns=columns)
        for group in range(parquet.num_row_groups)
    ):
        pixels = np.frombuffer(b"".join(batch["pixels"].to_pylist()), np.uint8)
        labels = np.array(batch["label"].to_pylist(), object)
        yield np.arange(start, start + len(labels)), labels, pixels.reshape(len(labels), size)
        start += len(labels)


def _reduced(picture: Pixels) -> Pixels:
    """Return a picture of at most ``MOST_PIXELS`` on its longest side."""
    longest = max(picture.shape[:2])
    if longest <= MOST_PIXELS:
        return picture
    height, width = (max(1, round(side * MOST_PIXELS / longest)) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
