"""Joins the user's own columns (gender, age, …) to the pictures, and counts what does not fit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.csv_rows import read_blocks
from data_prep.layout import same_text
from data_prep.rejections import BadInputError, Rejections

OWN_COLUMNS = frozenset(
    {
        "image_id", "source", "split", "fold", "label", "pixels", "content_hash",
        "duplicate_group", "split_group", "soft_label",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupColumns:
    """The user's columns, one cell for each picture."""

    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    """Text columns; null for a picture without a value."""
    named: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """(n,) True for a picture that is in the file."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """``unknown_ids`` (ids of no picture in the dataset), ``pictures_without`` (pictures that are
    not in the file) and ``empty_cells`` {column: count}."""


def read_group_columns(
    path: Path, image_ids: Sequence[str], rejections: Rejections
) -> GroupColumns:
    """Read a CSV with ``image_id`` and any further columns.

    Raises:
        FileNotFoundError: The file does not exist.
        BadInputError: The file has no ``image_id`` or no other column; a column has a reserved
            name, no name or the name of another column; no id belongs to a picture; or an id occurs
            twice and bad rows are not skipped (if they are, the first row counts).
    """
    cells: dict[str, dict[str, str]] = {}
    names: list[str] = []
    with path.open("rb") as stream:
        blocks = read_blocks(
            stream,
            file=path.name,
            columns=None,
            rejections=rejections,
            check=partial(_check_names, path),
        )
        for block in blocks:
            names = [name for name in block.cells.schema.names if name != "image_id"]
            for row, record in zip(block.rows.tolist(), block.cells.to_pylist(), strict=True):
                name = _same_id(record.pop("image_id").strip())
                if name in cells:
                    rejections.refuse(
                        f"{name!r} appears again", file=path.name, row=row, image_id=name,
                        way_out="keep one row of each picture",
                    )  # fmt: skip
                texts = {key: same_text(value.strip()) for key, value in record.items()}
                cells.setdefault(name, texts)
    ids = [_same_id(name) for name in image_ids]
    if cells and not cells.keys() & set(ids):
        raise BadInputError(
            f"{path}: none of its {len(cells):,} ids is the id of a picture; its first is "
            f"{next(iter(cells))!r}, and the dataset's first is {next(iter(ids), '')!r}"
        )
    known = [cells.get(name, {}) for name in ids]
    empty = Counter(key for record in known for key, value in record.items() if not value)
    return GroupColumns(
        columns={
            name: pa.array([record.get(name) or None for record in known], pa.string())
            for name in names
        },
        named=np.array([bool(record) for record in known], dtype=bool),
        notes={
            "unknown_ids": len(cells.keys() - set(ids)),
            "pictures_without": sum(not record for record in known),
            "empty_cells": dict(empty),
        },
    )


def _same_id(image_id: str) -> str:
    """Return the form of an id that is compared: with slashes, and letters in composed form."""
    return same_text(image_id.replace("\\", "/"))


def count_by_split(named: npt.NDArray[np.bool_], splits: npt.NDArray[np.str_]) -> str:
    """Return a sentence with the number of pictures in each split that a CSV names.

    Args:
        named: (n,) True for a picture that is in the CSV.
        splits: (n,) ``train``, ``val`` or ``test``.
    """
    counts = {split: int((splits[named] == split).sum()) for split in ("train", "val", "test")}
    return split_words(counts)


def split_words(counts: Mapping[str, int]) -> str:
    """Return a sentence with the number of annotated pictures in each split."""
    return (
        f"of your {sum(counts.values()):,} annotated pictures {counts['val']:,} are in validation, "
        f"{counts['train']:,} in train, {counts['test']:,} in test"
    )


def _check_names(path: Path, names: Sequence[str]) -> None:
    further = set(names) - {"image_id"}
    if "image_id" not in names or not further:
        raise BadInputError(
            f"{path}: needs the column image_id and at least one more, but has {', '.join(names)}"
        )
    odd = [name for name in names if not name or names.count(name) > 1]
    if odd:
        raise BadInputError(
            f"{path}: the column name {odd[0]!r} in its header is empty or appears twice; give "
            "each column a different name"
        )
    taken = sorted(name for name in further if name in OWN_COLUMNS or name.startswith("votes_"))
    if taken:
        raise BadInputError(
            f"{path}: every dataset has a column {taken[0]} of its own; rename this one"
        )
