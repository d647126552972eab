"""Writes labelled pictures of any source as a dataset directory, atomically."""

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from data_prep.duplicates import (
    DEFAULT_SEARCH,
    SearchVersion,
    count_duplicates,
    duplicate_groups,
    number_by_first,
)
from data_prep.fingerprint import content_hashes, fingerprint
from data_prep.given import COPY_COLUMNS, about_given, absent_classes, copies_across
from data_prep.large_arrays import take
from data_prep.manifest import (
    COPIES_FILE,
    IMAGES_FILE,
    LABELS_FILE,
    MANIFEST_FILE,
    REJECTED_FILE,
    SCHEMA_VERSION,
    DatasetManifest,
)
from data_prep.pictures import Fit
from data_prep.pixel_statistics import means_and_stds
from data_prep.rejections import Rejections
from data_prep.splits import MIN_PER_CLASS, SHARES, SplitMethod, split_dataset
from data_prep.together import (
    check_sides,
    joined_groups,
    leaks,
    values_together,
)
from fairsweep.disk_space import enough_space
from fairsweep.errors import UserError
from fairsweep.split_leaks import leak_words

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pyarrow", "pillow", "ImageHash")
ROW_GROUP_BYTES = 1 << 27
"""Bytes of pixels in a row group, so that large datasets can be read in parts."""
LABEL_COLUMNS = ("image_id", "source", "split", "label")


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages:
    """n labelled pictures of equal size, in the order of the dataset; every source returns this."""

    classes: tuple[str, ...]
    image_ids: Sequence[str]
    sources: Sequence[str]
    """(n,) name of each picture's source."""
    pixels: npt.NDArray[np.uint8]
    """(n, height, width) gray values, or (n, height, width, 3) red, green and blue."""
    labels: npt.NDArray[np.integer]
    """(n,) indices in ``classes``."""
    soft_labels: npt.NDArray[np.float32] | None = None
    """(n, classes) label distribution; each row adds up to 1."""
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    """Further columns of length n: votes, and the user's groups."""
    hashes: Sequence[str] | None = None
    """(n,) SHA-256 of each picture's pixels, if it is known."""
    given: npt.NDArray[np.str_] | None = None
    """(n,) each picture's official split, for ``Recipe.split`` ``given``."""

    @property
    def channels(self) -> int:
        """1 for gray pictures, 3 for colour."""
        return 1 if self.pixels.ndim == 3 else self.pixels.shape[3]

    def take(self, rows: npt.NDArray[np.int64]) -> "LabelledImages":
        """Return these rows."""
        soft, given, hashes = self.soft_labels, self.given, self.hashes
        return replace(
            self,
            image_ids=[self.image_ids[row] for row in rows],
            sources=[self.sources[row] for row in rows],
            pixels=take(self.pixels, rows),
            labels=self.labels[rows],
            soft_labels=None if soft is None else soft[rows],
            columns={name: cells.take(pa.array(rows)) for name, cells in self.columns.items()},
            hashes=None if hashes is None else [hashes[row] for row in rows],
            given=None if given is None else given[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The user's choices for a dataset from any source."""

    name: str
    label_rule: str
    split: SplitMethod = "grouped"
    seed: int = 0
    near_duplicates: bool = True
    """Whether to look for near-identical pictures too."""
    duplicates: SearchVersion = DEFAULT_SEARCH
    """Version of the search for near-identical pictures."""
    min_per_class: int = MIN_PER_CLASS
    """Least number of pictures of each class."""
    fit: Fit = "stretch"
    """How pictures were made square."""
    together: str | None = None
    """Column whose pictures with equal values (a person, a scene) stay in one split."""

    def __post_init__(self) -> None:
        """Reject contradictory choices."""
        if self.together is not None and self.split == "random":
            raise UserError(
                f"together: {self.together} keeps pictures on one side, which split random does "
                "not; use split grouped"
            )
        if self.min_per_class < MIN_PER_CLASS and self.split == "random":
            raise UserError(
                f"split random needs at least {MIN_PER_CLASS} pictures of every class, but "
                f"min_per_class is {self.min_per_class}; use split grouped"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Placed:
    """The columns that are computed for n pictures."""

    hashes: Sequence[str]
    groups: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]
    folds: npt.NDArray[np.int64]
    split_groups: npt.NDArray[np.int64] | None
    """Duplicate groups, merged if pictures must be kept together; None without such a column."""


def check_output(out: Path) -> None:
    """Check that a dataset can be written to ``out``.

    Raises:
        UserError: ``out`` or a folder above it is a file, or ``out`` is not empty.
    """
    nearest = _nearest(out)
    if not nearest.is_dir():
        raise UserError(f"{nearest} is a file; choose another --out")
    if out.is_dir() and any(out.iterdir()):
        holds = "a dataset" if (out / MANIFEST_FILE).is_file() else "something else"
        raise UserError(f"{out} already holds {holds}; choose another --out or remove it first")


def write_dataset(
    out: Path,
    images: LabelledImages,
    recipe: Recipe,
    *,
    steps: Sequence[Mapping[str, Any]],
    details: Mapping[str, Any],
    rejections: Rejections,
    groups: npt.NDArray[np.int64] | None = None,
    named: npt.NDArray[np.bool_] | None = None,
) -> DatasetManifest:
    """Find duplicates, split, and write the dataset directory.

    Args:
        out: Directory to write.
        images: The pictures.
        recipe: The user's choices.
        steps: The cleaning steps in order, for the manifest.
        details: Facts that only this kind of source has, for the manifest.
        rejections: The rejected pictures.
        groups: (n,) duplicate group of each picture; None to search for duplicates.
        named: (n,) whether the user's CSV of groups names the picture; None without one.

    Raises:
        UserError: ``out`` is not empty, a class has too few pictures, or the disk is full.
    """
    check_output(out)
    hashes = content_hashes(images.pixels) if images.hashes is None else images.hashes
    if groups is None:
        groups = duplicate_groups(
            images.pixels, hashes, near=recipe.near_duplicates, version=recipe.duplicates
        )
    groups = number_by_first(groups)
    placed = _place(images, hashes, groups, recipe)
    splits = placed.splits
    mean, std = means_and_stds(images.pixels, splits == "train")
    manifest = DatasetManifest(
        name=recipe.name,
        classes=images.classes,
        image_shape=images.pixels.shape[1:3],
        channels=images.channels,
        fit=recipe.fit,
        mean=mean,
        std=std,
        counts=_counts(images, splits),
        steps=tuple(steps),
        label_rule=recipe.label_rule,
        split_method=recipe.split,
        split_seed=recipe.seed,
        duplicates=count_duplicates(groups, splits),
        details={
            "near_duplicates": recipe.near_duplicates,
            **({"duplicate_search": recipe.duplicates} if recipe.near_duplicates else {}),
            "sources": _counts_of_sources(images, splits),
            **_told(details, recipe, images, placed),
            **_annotated(named, splits),
        },
        versions={"python": platform.python_version(), **{lib: version(lib) for lib in LIBRARIES}},
        fingerprint=_fingerprint(images, placed),
    )
    with _whole_or_nothing(out) as directory:
        table = _table(images, placed)
        rows = max(1, ROW_GROUP_BYTES // images.pixels[0].nbytes)
        pq.write_table(table, directory / IMAGES_FILE, row_group_size=rows)
        csv.write_csv(table.select(LABEL_COLUMNS), directory / LABELS_FILE)
        manifest.write(directory)
        rejections.write(directory / REJECTED_FILE)
        crossing = copies_across(splits, groups)
        if recipe.split == "given" and len(crossing):
            copies = table.select(COPY_COLUMNS).take(pa.array(crossing))
            csv.write_csv(copies, directory / COPIES_FILE)
    return manifest


def _place(
    images: LabelledImages,
    hashes: Sequence[str],
    groups: npt.NDArray[np.int64],
    recipe: Recipe,
) -> _Placed:
    """Split the pictures, and compute the other columns."""
    split_groups = values = None
    if recipe.together is not None:
        values = values_together(recipe.together, images.columns, images.sources)
        split_groups = number_by_first(joined_groups(groups, values))
    splits, folds = split_dataset(
        images.labels,
        groups if split_groups is None else split_groups,
        classes=images.classes,
        method=recipe.split,
        seed=recipe.seed,
        given=images.given,
        min_per_class=recipe.min_per_class,
    )
    if recipe.together is not None and values is not None:
        check_sides(recipe.together, values, splits)
    return _Placed(
        hashes=hashes,
        groups=groups,
        splits=splits,
        folds=folds,
        split_groups=split_groups,
    )


def _told(
    details: Mapping[str, Any], recipe: Recipe, images: LabelledImages, placed: _Placed
) -> dict[str, Any]:
    """Return the details of the source, its official split, and leaks between splits."""
    about: dict[str, Any] = {}
    if recipe.split == "given":
        assert images.given is not None
        about = about_given(placed.splits, images.given, placed.groups, images.labels)
    if recipe.together is not None:
        about["together"] = recipe.together
    found = leaks(images.columns, images.sources, placed.splits, recipe.together)
    if found:
        about["leaking_columns"] = found
    warnings = [
        *absent_classes(placed.splits, images.labels, images.classes),
        *leak_words(found, recipe.split),
    ]
    if warnings:
        about["warnings"] = [*details.get("warnings", ()), *warnings]
    return {**details, **about}


def _annotated(
    named: npt.NDArray[np.bool_] | None, splits: npt.NDArray[np.str_]
) -> dict[str, dict[str, int]]:
    if named is None:
        return {}
    return {"annotated": {split: int((splits[named] == split).sum()) for split in SHARES}}


def _counts(images: LabelledImages, splits: npt.NDArray[np.str_]) -> dict[str, dict[str, int]]:
    counts = {}
    for split in SHARES:
        of_class = np.bincount(images.labels[splits == split], minlength=len(images.classes))
        counts[split] = dict(zip(images.classes, of_class.tolist(), strict=True))
    return counts


def _counts_of_sources(
    images: LabelledImages, splits: npt.NDArray[np.str_]
) -> dict[str, dict[str, dict[str, int]]]:
    """Count the pictures of each source by class and split."""
    sources = np.array(images.sources)
    return {
        source: {
            name: {
                split: int(((sources == source) & (splits == split) & of_class).sum())
                for split in SHARES
            }
            for name, of_class in (
                (name, images.labels == label) for label, name in enumerate(images.classes)
            )
        }
        for source in dict.fromkeys(images.sources)
    }


def _fingerprint(images: LabelledImages, placed: _Placed) -> str:
    return fingerprint(
        classes=images.classes,
        image_ids=images.image_ids,
        pixels_shape=images.pixels.shape,
        hashes=placed.hashes,
        labels=images.labels,
        groups=placed.groups,
        splits=placed.splits,
        folds=placed.folds,
        soft_labels=images.soft_labels,
        split_groups=placed.split_groups,
    )


def _table(images: LabelledImages, placed: _Placed) -> pa.Table:
    count, height, width = images.pixels.shape[:3]
    pixel_buffer = pa.py_buffer(np.ascontiguousarray(images.pixels))
    pixel_type = pa.binary(height * width * images.channels)
    columns = {
        "image_id": pa.array(images.image_ids),
        "source": pa.array(images.sources),
        "split": pa.array(placed.splits),
        "fold": pa.array(placed.folds, pa.int8(), mask=placed.folds < 0),
        "label": pa.array(np.array(images.classes)[images.labels]),
        "pixels": pa.Array.from_buffers(pixel_type, count, [None, pixel_buffer]),
        "content_hash": pa.array(placed.hashes),
        "duplicate_group": pa.array(placed.groups),
        **({} if placed.split_groups is None else {"split_group": pa.array(placed.split_groups)}),
        **images.columns,
    }
    if images.soft_labels is not None:
        flat = pa.array(images.soft_labels.reshape(-1))
        columns["soft_label"] = pa.FixedSizeListArray.from_arrays(flat, len(images.classes))
    about = {"schema_version": SCHEMA_VERSION, "image_shape": [height, width]}
    if images.channels > 1:
        about["channels"] = images.channels
    return pa.table(columns, metadata={"dataset": json.dumps(about)})


@contextmanager
def _whole_or_nothing(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``out`` at the end, or is removed after an error.

    Raises:
        UserError: The disk is full.
    """
    directory = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=_nearest(out)))
    try:
        with enough_space(str(out), "choose another --out"):
            directory.chmod(0o755)  # mkdtemp makes it private
            yield directory
            _put_in_place(directory, out)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _nearest(out: Path) -> Path:
    """Return ``out`` if it exists, or else the nearest existing folder above it."""
    return next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())


def _put_in_place(directory: Path, out: Path) -> None:
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        directory.replace(out)
        return
    # A mount point cannot be replaced, and a shell's working directory should not be.
    for file in sorted(directory.iterdir(), key=lambda file: file.name == MANIFEST_FILE):
        file.replace(out / file.name)
