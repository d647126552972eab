"""Reads a prepared dataset into memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.manifest import FOLDS, IMAGES_FILE, MANIFEST_FILE, DatasetManifest
from data_prep.unpacked import LARGE_BYTES, map_pixels
from fairsweep.disk_space import enough_space
from fairsweep.errors import MissingFileError, UserError, one_line

SPLITS = ("train", "val", "test")
NO_GROUPS = frozenset({"image_id", "split", "content_hash"})
"""Text columns that do not group pictures."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDataset:
    """All pictures of a dataset and what training needs, as arrays of n rows."""

    manifest: DatasetManifest
    image_ids: npt.NDArray[np.str_]
    """(n,) image ids, in the order of the file."""
    pixels: npt.NDArray[np.uint8]
    """(n, height, width) gray values, or (n, height, width, 3) red, green and blue."""
    labels: npt.NDArray[np.int64]
    """(n,) indices into ``manifest.classes``."""
    splits: npt.NDArray[np.str_]
    """(n,) ``train``, ``val`` or ``test``."""
    folds: npt.NDArray[np.int64]
    """(n,) 0 to 9 over train and val, -1 in test."""
    soft_labels: npt.NDArray[np.float32] | None
    """(n, classes) label distribution from the votes; None if the source has no votes."""
    duplicate_groups: npt.NDArray[np.int64] | None = None
    """(n,) duplicate group of each picture; None if duplicates were not searched for."""
    split_groups: npt.NDArray[np.int64] | None = None
    """(n,) groups that stay in one fold: duplicates joined with the pictures of a person or scene;
    None if they are the duplicate groups."""
    columns: Mapping[str, npt.NDArray[np.str_]] = field(default_factory=dict)
    """Name → (n,) texts by which pictures can be grouped: the user's columns (gender, age, …),
    ``label`` and ``source``. A text is empty if it is not known for the picture."""
    checked_hashes: Sequence[str] | None = None
    """(n,) SHA-256 of each picture's pixels, if they were checked against it while being read."""
    place: str = ""
    """Directory or URL that the dataset was read from; empty if it was made in memory."""

    def rows(
        self, split: str, fold: int | None = None, folds: int | None = None
    ) -> npt.NDArray[np.int64]:
        """Return the row numbers of a split; with ``fold``, this fold is val and the rest train.

        Args:
            split: ``train``, ``val`` or ``test``.
            fold: Counted from 0 across all repeats.
            folds: Folds per repeat; None for the ten folds in the file.

        Raises:
            ValueError: ``split`` is not the name of a split.
            UserError: The fold does not exist.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, but got {split!r}")
        if fold is None or split == "test":
            return np.flatnonzero(self.splits == split)
        if fold < 0:
            raise UserError(f"fold must be one of 0, 1, …, but got {fold}")
        repeat, number = divmod(fold, folds or FOLDS)
        of = folds_of(self, folds or FOLDS, repeat)
        if number not in set(of[of >= 0].tolist()):
            raise UserError(f"fold must be one of 0…{of.max()}, but got {fold}")
        inside = of == number
        return np.flatnonzero(inside if split == "val" else (of >= 0) & ~inside)

    @property
    def is_mapped(self) -> bool:
        """True if the pixels are in a file that all processes of this machine share."""
        return isinstance(self.pixels, np.memmap)

    def joined(self, columns: Mapping[str, pa.Array]) -> "ImageDataset":
        """Return the dataset with further text columns, replacing columns of the same name."""
        return replace(self, columns={**self.columns, **_texts(columns)})


def read_dataset(directory: Path, *, unpack_to: Callable[[], Path] | None = None) -> ImageDataset:
    """Read the dataset in ``directory``.

    Args:
        directory: Directory of the dataset.
        unpack_to: Returns a folder on a local disk for the pixels of a large dataset, which all
            processes map. Without it, pixels are always read into memory.

    Raises:
        MissingFileError: There is no dataset in the directory.
        UserError: A file is damaged, or pictures and manifest do not belong together.
    """
    manifest = DatasetManifest.read(directory)
    path = directory / IMAGES_FILE
    try:
        return _read(manifest, path, unpack_to)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} is missing; {_WAY_OUT}") from error
    except UserError:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        reason = one_line(error)
        raise UserError(
            f"{path} is damaged or belongs to another {MANIFEST_FILE} ({reason}); {_WAY_OUT}"
        ) from error


_WAY_OUT = f"restore it and {MANIFEST_FILE} from a copy, or prepare the dataset again as before"


def size_of(manifest: DatasetManifest) -> int:
    """Return the bytes that all pixels of a dataset take."""
    return manifest.images * prod(manifest.pixel_shape)


def _read(
    manifest: DatasetManifest, path: Path, unpack_to: Callable[[], Path] | None
) -> ImageDataset:
    if unpack_to is None or size_of(manifest) <= LARGE_BYTES:
        table = pq.read_table(path).combine_chunks()
        return _build(manifest, table, _pixels(table["pixels"].combine_chunks()))
    names = [name for name in pq.read_schema(path).names if name != "pixels"]
    table = pq.read_table(path, columns=names).combine_chunks()
    folder = unpack_to()
    what = f"{size_of(manifest) / 1e9:.1f} GB of pixels in {folder}"
    with enough_space(what, "set TUNE_STAGE to a folder on a larger disk"):
        pixels, are_checked = map_pixels(path, manifest.fingerprint, folder)
    hashes = table["content_hash"].to_pylist() if are_checked else None
    return replace(_build(manifest, table, pixels), checked_hashes=hashes)


def _build(
    manifest: DatasetManifest, table: pa.Table, pixels: npt.NDArray[np.uint8]
) -> ImageDataset:

    def column(name: str) -> Any:
        return table[name].to_numpy()

    index_of = {name: index for index, name in enumerate(manifest.classes)}
    soft_labels = None
    if "soft_label" in table.column_names:
        flat = table["soft_label"].combine_chunks().flatten().to_numpy()
        soft_labels = flat.reshape(-1, len(manifest.classes)).astype(np.float32)
    split_groups = None
    if "split_group" in table.column_names:
        split_groups = column("split_group").astype(np.int64)
    return ImageDataset(
        manifest=manifest,
        image_ids=column("image_id").astype(str),
        pixels=pixels.reshape(-1, *manifest.pixel_shape),
        labels=np.array([index_of[label] for label in table["label"].to_pylist()], dtype=np.int64),
        splits=column("split").astype(str),
        folds=table["fold"].fill_null(-1).to_numpy().astype(np.int64),
        soft_labels=soft_labels,
        duplicate_groups=column("duplicate_group").astype(np.int64),
        split_groups=split_groups,
        columns=_texts(
            {
                name: table[name]
                for name in table.column_names
                if pa.types.is_string(table.schema.field(name).type) and name not in NO_GROUPS
            }
        ),
    )


def _texts(columns: Mapping[str, pa.Array]) -> dict[str, npt.NDArray[np.str_]]:
    return {
        name: np.array(cells.fill_null("").to_pylist(), dtype=str)
        for name, cells in columns.items()
    }


def _pixels(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """Copy the pixels from Arrow's memory, which is read-only."""
    size = column.type.byte_width
    values = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    return values[column.offset * size : (column.offset + len(column)) * size].copy()


@lru_cache(maxsize=8)  # A trial calls this at each of its best epochs.
def folds_of(dataset: ImageDataset, count: int, repeat: int) -> npt.NDArray[np.int64]:
    """Return (n,) the fold of each picture, 0 to ``count`` - 1 over train and val, -1 in test.

    The first repeat of ten folds is in the file. Other folds are made in the same way: with equal
    shares of every class, and whole groups of duplicates and of pictures that stay together, unless
    the dataset was split without groups. The result is the same on every machine.

    Args:
        dataset: The pictures.
        count: Number of folds.
        repeat: Number of the repeat, from 0.
    """
    if count == FOLDS and repeat == 0:
        return dataset.folds
    # Imported late, because scikit-learn takes a second to import and is rarely needed.
    from data_prep.splits import deal

    inside = np.flatnonzero(dataset.folds >= 0)
    groups = dataset.split_groups
    if groups is None:
        groups = dataset.duplicate_groups
    if groups is None or dataset.manifest.split_method == "random":
        groups = np.arange(len(dataset.labels))
    generator = np.random.default_rng([dataset.manifest.split_seed, count, repeat])
    folds = np.full(len(dataset.labels), -1, dtype=np.int64)
    folds[inside] = deal(
        dataset.labels[inside], groups[inside], np.full(count, 1 / count), generator
    )
    return folds
