"""Reads CSV files in blocks of rows with text cells, and reports every malformed row."""

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from data_prep.places import READ_ERRORS
from data_prep.rejections import BadInputError, Rejections
from fairsweep.errors import one_line

BLOCK_BYTES = 1 << 22
"""Bytes per block; no row may be longer."""
MAX_HEADER_BYTES = 1 << 16
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Separators other than the comma → their names in messages."""
AS_UTF_8 = "save it as CSV in UTF-8 (in a spreadsheet program: 'CSV UTF-8')"


@dataclass(frozen=True, kw_only=True)
class Block:
    """Well-formed rows of a CSV file."""

    rows: npt.NDArray[np.int64]
    """(n,) place of each row in the file, counted from 0 below the header."""
    cells: pa.RecordBatch
    """n rows of text cells."""


def read_blocks(
    stream: IO[bytes],
    *,
    file: str,
    columns: Sequence[str] | None,
    rejections: Rejections,
    check: Callable[[Sequence[str]], None] = lambda _: None,
    identify: Callable[[int], str] = lambda _: "",
) -> Iterator[Block]:
    """Read the named columns (None: all) of a CSV file in blocks of one or more rows.

    Spaces around column names are ignored. ``check`` receives the names before any row is read.
    ``identify`` returns the image id of a row.

    Raises:
        BadInputError: A column is missing, or the file is not a CSV file. If bad input is not
            skipped, also: a row has another number of cells than the header, or the file is cut
            off.
    """
    header = _header(stream, file)
    check(header)
    missing = [name for name in columns or () if name not in header]
    if missing:
        raise BadInputError(
            f"{file}: column {', '.join(missing)} is missing (its header has {', '.join(header)}); "
            "give the file that the help of this command names"
        )
    malformed: list[pa.csv.InvalidRow] = []
    first = 0
    try:
        reader = _reader(stream, header, columns or header, malformed)
        for cells in reader:
            # The reader drops malformed rows; their numbers (from 1) are the gaps.
            gaps = [row.number - 1 for row in malformed if row.number > first]
            candidates = np.arange(first, first + len(cells) + len(gaps))
            rows = np.setdiff1d(candidates, gaps)[: len(cells)]
            if len(rows):
                first = int(rows[-1]) + 1
                yield Block(rows=rows, cells=cells)
    except (*READ_ERRORS, pa.ArrowInvalid) as error:
        if "UTF8" in str(error):
            raise BadInputError(f"{file}: is in another encoding than UTF-8; {AS_UTF_8}") from error
        reason = f"cannot be read to its end ({one_line(error)[:200]})"
        rejections.refuse(reason, file=file, row=first, way_out="download it again")
    for row in malformed:
        reason = f"{row.actual_columns} cells where the header has {row.expected_columns}"
        rejections.refuse(
            reason,
            file=file,
            row=row.number - 1,
            image_id=identify(row.number - 1),
            way_out="correct the row",
        )


def _header(stream: IO[bytes], file: str) -> list[str]:
    try:
        content = stream.readline(MAX_HEADER_BYTES)
    except READ_ERRORS as error:
        raise BadInputError(f"{file}: is not a CSV file ({error}); give another") from error
    try:
        line = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInputError(f"{file}: {_encoding(content)}; {AS_UTF_8}") from None
    if "\0" in line:
        raise BadInputError(f"{file}: is not a CSV file, or not in UTF-8; {AS_UTF_8}")
    if "\r" in line.removesuffix("\n").removesuffix("\r"):
        raise BadInputError(
            f"{file}: its lines end in carriage returns alone, as on old Macs; {AS_UTF_8}"
        )
    header = [name.strip() for name in next(csv.reader([line]), [])]
    if not any(header):
        raise BadInputError(f"{file}: is empty; give a file with a header and rows")
    for separator, name in SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise BadInputError(
                f"{file}: its columns are separated by {name}; save it again with commas"
            )
    return header


def _encoding(content: bytes) -> str:
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return f"is in {'UTF-16' if is_utf_16 else 'another encoding than UTF-8'}"


def _reader(
    stream: IO[bytes],
    header: Sequence[str],
    columns: Sequence[str],
    malformed: list[pa.csv.InvalidRow],
) -> pa.csv.CSVStreamingReader:
    def note(row: pa.csv.InvalidRow) -> str:
        malformed.append(row)
        return "skip"

    return pa.csv.open_csv(
        stream,
        # Rows are only numbered with a single thread.
        read_options=pa.csv.ReadOptions(
            column_names=header, block_size=BLOCK_BYTES, use_threads=False
        ),
        parse_options=pa.csv.ParseOptions(invalid_row_handler=note),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), include_columns=list(columns)
        ),
    )
