"""Reads a prepared dataset into memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.manifest import IMAGES_FILE, DatasetManifest

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDataset:
    """All pictures of a dataset with what training needs, as plain arrays of n rows."""

    manifest: DatasetManifest
    image_ids: npt.NDArray[np.str_]
    """(n,) image ids, in the order of the file."""
    pixels: npt.NDArray[np.uint8]
    """(n, height, width) gray values."""
    labels: npt.NDArray[np.int64]
    """(n,) places in ``manifest.classes``."""
    splits: npt.NDArray[np.str_]
    """(n,) ``train``, ``val`` or ``test``."""
    folds: npt.NDArray[np.int64]
    """(n,) 0 to 9 over train and val, -1 in test."""
    soft_labels: npt.NDArray[np.float32] | None
    """(n, classes) label distribution from the votes, or None where the source has no votes."""

    def rows(self, split: str, fold: int | None = None) -> npt.NDArray[np.int64]:
        """Return the row numbers of a split; with ``fold``, that fold is val and the rest train.

        Raises:
            ValueError: The split or the fold does not exist.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, but got {split!r}")
        if fold is None or split == "test":
            return np.flatnonzero(self.splits == split)
        if fold not in set(self.folds[self.folds >= 0].tolist()):
            raise ValueError(f"fold must be one of 0…{self.folds.max()}, but got {fold}")
        inside = self.folds == fold
        return np.flatnonzero(inside if split == "val" else (self.folds >= 0) & ~inside)


def read_dataset(directory: Path) -> ImageDataset:
    """Read the dataset in ``directory``.

    Raises:
        FileNotFoundError: There is no dataset there.
        ValueError: Its manifest cannot be read.
    """
    manifest = DatasetManifest.read(directory)
    table = pq.read_table(directory / IMAGES_FILE).combine_chunks()

    def column(name: str) -> Any:
        return table[name].to_numpy()

    index_of = {name: index for index, name in enumerate(manifest.classes)}
    soft_labels = None
    if "soft_label" in table.column_names:
        flat = table["soft_label"].combine_chunks().flatten().to_numpy()
        soft_labels = flat.reshape(-1, len(manifest.classes)).astype(np.float32)
    pixels = _pixels(table["pixels"].combine_chunks())
    return ImageDataset(
        manifest=manifest,
        image_ids=column("image_id").astype(str),
        pixels=pixels.reshape(-1, *manifest.image_shape),
        labels=np.array([index_of[label] for label in table["label"].to_pylist()], dtype=np.int64),
        splits=column("split").astype(str),
        folds=table["fold"].fill_null(-1).to_numpy().astype(np.int64),
        soft_labels=soft_labels,
    )


def _pixels(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """Copy the pixels out of Arrow's memory, which must not be written to."""
    size = column.type.byte_width
    values = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    return values[column.offset * size : (column.offset + len(column)) * size].copy()
