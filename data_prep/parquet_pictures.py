"""Reads pictures inside Parquet files, as Hugging Face writes them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.labels_file import USUAL, find_roles, text_of
from data_prep.layout import subset_above, subset_of
from data_prep.records import Content, Found, PictureReader, Record
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile
from data_prep.walking import walk
from fairsweep.errors import MissingFileError, one_line

ROWS_AT_ONCE = 256
"""Rows that are decoded together, to limit memory."""
SUFFIX = ".parquet"


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The roles of a file's columns."""

    picture: str
    label: str
    split: str
    names: Mapping[int, str]
    """Number → class, if labels are numbers of named classes."""
    others: Sequence[str]


def find_in_parquet(source: Source, file: SourcesFile) -> Found:
    """Read the pictures of a Parquet file, or of all such files in a folder.

    The split comes from a column, or else from the names of files and folders. Numbers of classes
    are replaced by the names in the schema's metadata.

    Raises:
        MissingFileError: The path does not exist.
        BadInputError: A file cannot be read, or it is unclear which column holds the pictures or
            the labels.
    """
    assert source.path is not None
    reader = PictureReader(source, file)
    counts, odd = Counter[str](), Counter[str]()
    records: list[Record] = []
    for path in _files(source.path):
        try:
            records += _records(path, source, reader, counts, odd)
        except (OSError, pa.ArrowException) as error:
            reason = one_line(error)[:200]
            raise BadInputError(f"{path}: cannot be read ({reason}); download it again") from error
    return Found(
        records=records,
        in_colour=reader.in_colour,
        odd_subsets=odd,
        rule="a column of labels",
    )


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; check the path")
    if path.is_file():
        return [path]
    return [found.path for found in walk(path) if found.path.suffix.lower() == SUFFIX]


def _records(
    path: Path, source: Source, reader: PictureReader, counts: Counter[str], odd: Counter[str]
) -> Iterator[Record]:
    files = _picture_files(path, source, counts, odd)
    for record, picture in reader.from_files(files):
        yield replace(record, picture=picture)


def _picture_files(
    path: Path, source: Source, counts: Counter[str], odd: Counter[str]
) -> Iterator[tuple[Record, Content]]:
    """Yield the record of each picture in a file without the picture, and the picture's content."""
    with pq.ParquetFile(path) as file:
        columns = _columns(file.schema_arrow, source, path)
        of_file = subset_of(path.stem.replace("-", "_").replace(".", "_").partition("_")[0])
        of_file = of_file or subset_above(_relative(path, source.path))
        row = 0
        for batch in _batches(file):
            for cells in batch.to_pylist():
                text = text_of(cells[columns.split]) if columns.split else ""
                subset = subset_of(text) if text else of_file
                if text and not subset:
                    odd[text] += 1
                folder = f"{subset}/" if subset else ""
                record = Record(
                    name=f"{folder}{counts[subset]:06}",
                    shown=path.name,
                    row=row,
                    label=_label(cells[columns.label], columns.names),
                    picture=None,
                    subset=subset,
                    columns={name: text_of(cells[name]) for name in columns.others},
                )
                yield record, _content(cells[columns.picture])
                counts[subset] += 1
                row += 1


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield all rows; `iter_batches` over all row groups at once would keep them in memory."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(ROWS_AT_ONCE, row_groups=[group])


def _relative(path: Path, root: Path | None) -> PurePosixPath:
    inner = path.relative_to(root) if root is not None and path != root else Path(path.name)
    return PurePosixPath(inner.as_posix())


def _content(cell: Any) -> bytes | Exception:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        return BadInputError("has no picture in it, only a path or nothing")
    return content


def _label(cell: Any, names: Mapping[int, str]) -> str:
    if names and isinstance(cell, int):
        return names.get(cell, "")  # -1 means no label, as in many test splits.
    return text_of(cell)


def _columns(schema: pa.Schema, source: Source, path: Path) -> _Columns:
    features = _features(schema)
    pictures = [field.name for field in schema if _holds_pictures(field, features)]
    roles = find_roles(schema.names, source.columns, file=path.name)
    picture = roles["file"] if "file" in source.columns else next(iter(pictures), "")
    if (len(pictures) > 1 and "file" not in source.columns) or not picture:
        raise BadInputError(
            f"{path.name}: {len(pictures)} columns hold pictures "
            f"({', '.join(pictures or schema.names)}); say which one does with --columns "
            "file=NAME, or with columns: {file: NAME} in a sources file"
        )
    label = roles.get("label", "")
    classes = [name for name in schema.names if _class_names(features.get(name))]
    if "label" not in source.columns and classes and label not in classes:
        label = classes[0] if len(classes) == 1 else ""
    if not label:
        raise BadInputError(
            f"{path.name}: it is not clear which column is the label ({', '.join(schema.names)}; "
            f"usual are {', '.join(USUAL['label'])}); say so with --columns "
            "label=NAME, or with columns: {label: NAME} in a sources file"
        )
    if pa.types.is_nested(schema.field(label).type):
        raise BadInputError(
            f"{path.name}: column {label!r} holds several labels a picture, which is not supported"
        )
    split = roles.get("split", "")
    others = [
        field.name
        for field in schema
        if field.name not in (picture, label, split) and _is_single(field.type)
    ]
    names = dict(enumerate(_class_names(features.get(label))))
    return _Columns(picture=picture, label=label, split=split, names=names, others=others)


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    """Return Hugging Face's metadata about the columns; empty if there is none."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return dict(about["info"]["features"])
    except (ValueError, KeyError, TypeError):
        return {}


def _class_names(feature: Any) -> list[str]:
    return list(feature.get("names") or ()) if isinstance(feature, dict) else []


def _holds_pictures(field: pa.Field, features: Mapping[str, Any]) -> bool:
    feature = features.get(field.name)
    if isinstance(feature, dict) and feature.get("_type") == "Image":
        return True
    kind = field.type
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return _is_bytes(kind)


def _is_single(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or _is_bytes(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
