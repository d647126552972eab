"""Reads tables of pictures and their labels: CSV, or JSON Lines as used by Hugging Face."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from data_prep.csv_rows import read_blocks
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Role

USUAL: Mapping[Role, Sequence[str]] = {
    "file": (
        "file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path",
        "image_name", "image_file", "img", "img_path", "image_id", "picture",
    ),
    "label": ("label", "labels", "class", "class_name", "category", "emotion", "expression",
              "diagnosis", "target"),
    "split": ("split", "subset", "usage", "partition"),
}  # fmt: skip
"""Role → usual names of its column, in any case; the first name that occurs is used."""

_Row = tuple[int, Mapping[str, str], frozenset[str]]
"""Number of a row, its cells as text, and the columns that hold lists."""


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """A row of a table of labels."""

    row: int
    """Counted from 0 below the header, or from the first line of JSON."""
    file: str
    """The picture's name in the table."""
    label: str | None
    """The picture's class; None if the table has no column of labels."""
    split: str
    columns: Mapping[str, str]
    has_several_labels: bool = False
    """Whether the label is a list, which is not supported."""


def find_roles(header: Sequence[str], chosen: Mapping[Role, str], *, file: str) -> dict[Role, str]:
    """Return the column of each role, as given by the user or found by its usual names.

    Raises:
        BadInputError: A column that the user names does not exist.
    """
    roles: dict[Role, str] = {}
    by_name = {name.strip().lower(): name for name in reversed(header)}
    for role, usual in USUAL.items():
        if role in chosen:
            if chosen[role] not in header:
                raise BadInputError(
                    f"{file}: has no column {chosen[role]!r} for {role}, but {', '.join(header)}; "
                    "correct columns"
                )
            roles[role] = chosen[role]
            continue
        name = next((by_name[name] for name in usual if name in by_name), None)
        if name is not None:
            roles[role] = name
    return roles


def read_rows(
    path: PurePosixPath,
    content: bytes,
    chosen: Mapping[Role, str],
    rejections: Rejections,
    *,
    shown: str,
) -> list[LabelRow] | None:
    """Read a table; return None if none of its columns names pictures.

    Raises:
        BadInputError: A column that the user names does not exist, the table cannot be read, or a
            row is malformed and bad rows are not skipped.
    """
    rows = _json_rows if path.suffix.lower() == ".jsonl" else _csv_rows
    header, records = rows(content, shown, rejections)
    roles = find_roles(header, chosen, file=shown)
    if "file" not in roles:
        return None
    others = [name for name in header if name and name not in roles.values()]
    return [
        LabelRow(
            row=row,
            file=cells.get(roles["file"], ""),
            label=cells.get(roles["label"], "") if "label" in roles else None,
            split=cells.get(roles["split"], "") if "split" in roles else "",
            columns={name: cells[name] for name in others if cells.get(name)},
            has_several_labels=roles.get("label") in lists,
        )
        for row, cells, lists in records
    ]


def _csv_rows(
    content: bytes, shown: str, rejections: Rejections
) -> tuple[Sequence[str], Iterator[_Row]]:
    header: list[str] = []
    blocks = read_blocks(
        io.BytesIO(content),
        file=shown,
        columns=None,
        rejections=rejections,
        check=lambda names: header.extend(names),
    )
    rows = [
        (row, cells, frozenset[str]())
        for block in blocks
        for row, cells in zip(block.rows.tolist(), block.cells.to_pylist(), strict=True)
    ]
    return header, iter(rows)


def _json_rows(
    content: bytes, shown: str, rejections: Rejections
) -> tuple[Sequence[str], Iterator[_Row]]:
    rows: list[_Row] = []
    for number, line in enumerate(content.splitlines()):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            cells = {str(key): text_of(value) for key, value in values.items()}
            lists = frozenset(key for key, value in values.items() if isinstance(value, list))
            rows.append((number, cells, lists))
        except (ValueError, AttributeError):
            rejections.refuse(
                "is not a JSON object", file=shown, row=number, way_out="correct the line"
            )
    header = dict.fromkeys(name for _, cells, _ in rows for name in cells)
    return list(header), iter(rows)


def text_of(value: object) -> str:
    """Return a value as text; empty for None, and for lists, mappings and bytes."""
    if value is None or isinstance(value, dict | list | tuple | bytes):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
