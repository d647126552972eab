"""Reads the pixels of Kaggle's ``fer2013.csv`` or ``icml_face_data.csv``."""

from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.csv_rows import Block, read_blocks
from data_prep.rejections import BadInputError, Rejections
from data_prep.votes import USAGES, image_id

SIDE = 48
PIXELS = SIDE * SIDE


@dataclass(frozen=True, kw_only=True, eq=False)
class KagglePictures:
    """The pictures of a Kaggle-format CSV of n rows."""

    file: str
    usages: npt.NDArray[np.str_]
    """(n,) Usage of each row, empty where the row was refused."""
    pixels: npt.NDArray[np.uint8]
    """(n, 2304) gray values; zeros where the row was refused."""
    sound: npt.NDArray[np.bool_]
    """(n,) False where the row was refused."""


def read_kaggle_csv(stream: IO[bytes], file: str, rejections: Rejections) -> KagglePictures:
    """Read and check a CSV with the columns ``pixels`` and ``Usage``.

    Raises:
        BadInputError: A column is missing, the file holds no rows; or bad rows are not to be
            skipped and a row has other than 2,304 pixels, a pixel that is no whole number from 0
            to 255, or an unknown Usage.
    """
    parts: list[_Part] = []
    for block in read_blocks(
        stream,
        file=file,
        columns=("pixels", "Usage"),
        rejections=rejections,
        identify=image_id,
    ):
        pixels, parsed = _parse(block, file, rejections)
        usages = _usages(block)
        known = np.isin(usages, USAGES)
        for place in np.flatnonzero(parsed & ~known).tolist():
            fault = f"Usage is none of {', '.join(USAGES)}, but {str(usages[place])[:40]!r}"
            _refuse(fault, file, int(block.rows[place]), rejections)
        # The block's text is four times as large as its pixels and is not kept.
        parts.append(_Part(rows=block.rows, usages=usages, pixels=pixels, sound=parsed & known))
    if not parts:
        raise BadInputError(f"{file}: holds no pictures; give the whole file")
    return _put_together(parts, file)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """What a block of n rows comes to."""

    rows: npt.NDArray[np.int64]
    usages: npt.NDArray[np.str_]
    pixels: npt.NDArray[np.uint8]
    sound: npt.NDArray[np.bool_]


def _put_together(parts: list[_Part], file: str) -> KagglePictures:
    count = parts[-1].rows[-1] + 1
    usages = np.zeros(count, dtype=f"<U{max(map(len, USAGES))}")
    pixels = np.zeros((count, PIXELS), dtype=np.uint8)
    sound = np.zeros(count, dtype=bool)
    for part in parts:
        usages[part.rows] = part.usages
        pixels[part.rows] = part.pixels
        sound[part.rows] = part.sound
    return KagglePictures(file=file, usages=usages, pixels=pixels, sound=sound)


def _usages(block: Block) -> npt.NDArray[np.str_]:
    cells = pc.utf8_trim_whitespace(block.cells["Usage"])
    usages: npt.NDArray[np.str_] = cells.to_numpy(zero_copy_only=False).astype(str)
    return usages


def _refuse(fault: str, file: str, row: int, rejections: Rejections) -> None:
    rejections.refuse(fault, file=file, row=row, image_id=image_id(row), way_out="correct the row")


def _parse(
    block: Block, file: str, rejections: Rejections
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Turn a block's pixel texts into (n, 2304) gray values and (n,) whether each row is sound."""
    texts = block.cells["pixels"]
    try:
        # Arrow splits and checks a whole block at once.
        numbers = pc.split_pattern(texts, " ")
        if pc.all(pc.equal(pc.list_value_length(numbers), PIXELS)).as_py():
            pixels = numbers.flatten().cast(pa.uint8()).to_numpy().reshape(-1, PIXELS)
            return pixels, np.ones(len(texts), dtype=bool)
    except pa.ArrowInvalid:
        pass  # a row in this block is bad: row by row finds which
    pixels = np.zeros((len(texts), PIXELS), dtype=np.uint8)
    sound = np.zeros(len(texts), dtype=bool)
    for place, text in enumerate(texts.to_pylist()):
        values = text.split()
        fault = _fault(values)
        if fault is None:
            pixels[place], sound[place] = [int(value) for value in values], True
            continue
        _refuse(fault, file, int(block.rows[place]), rejections)
    return pixels, sound


def _fault(values: list[str]) -> str | None:
    if len(values) != PIXELS:
        return f"{len(values):,} pixels where a picture has {PIXELS:,}"
    for value in values:
        if not (value.isascii() and value.isdigit() and len(value) < 9 and int(value) < 256):
            return f"the pixel {value[:20]!r} is no whole number from 0 to 255"
    return None
