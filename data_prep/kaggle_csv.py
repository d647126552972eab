"""Reads the pixels of Kaggle's ``fer2013.csv`` or ``icml_face_data.csv``."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
_USUAL = frozenset(map(str, range(256)))
"""How nearly all gray values are written; only others need to be looked at."""
BLOCKS_AHEAD = 2
"""Blocks that are parsed while the next one is read; each takes tens of megabytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KagglePictures:
    """The pictures of a Kaggle-format CSV of n rows."""

    file: str
    usages: npt.NDArray[np.str_]
    """(n,) Usage of each row; empty if the row was refused."""
    pixels: npt.NDArray[np.uint8]
    """(n, 2304) gray values; zeros if the row was refused."""
    sound: npt.NDArray[np.bool_]
    """(n,) False if the row was refused."""


def read_kaggle_csv(stream: IO[bytes], file: str, rejections: Rejections) -> KagglePictures:
    """Read and check a CSV with the columns ``pixels`` and ``Usage``.

    Raises:
        BadInputError: A column is missing, or the file holds no rows. If bad rows are not skipped,
            also: a row does not have 2,304 pixels, a pixel is not a whole number from 0 to 255, or
            a Usage is unknown.
    """
    parts: list[_Part] = []
    blocks = read_blocks(
        stream,
        file=file,
        columns=("pixels", "Usage"),
        rejections=rejections,
        identify=image_id,
    )
    for block, quick in _ahead(_parse_sound, blocks):
        pixels, parsed = quick or _parse_each(block, file, rejections)
        usages = _usages(block)
        known = np.isin(usages, USAGES)
        for place in np.flatnonzero(parsed & ~known).tolist():
            fault = f"Usage is none of {', '.join(USAGES)}, but {str(usages[place])[:40]!r}"
            _refuse(fault, file, int(block.rows[place]), rejections)
        # The block's text is four times as large as its pixels and is not kept.
        parts.append(_Part(rows=block.rows, usages=usages, pixels=pixels, sound=parsed & known))
    if not parts:
        raise BadInputError(f"{file}: holds no pictures; give the complete file")
    return _put_together(parts, file)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """The parsed contents of a block of n rows."""

    rows: npt.NDArray[np.int64]
    usages: npt.NDArray[np.str_]
    pixels: npt.NDArray[np.uint8]
    sound: npt.NDArray[np.bool_]


_Parsed = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]
"""(n, 2304) gray values of a block, and (n,) whether each row is valid."""
_Ahead = tuple[Block, _Parsed | None]


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


def _ahead(work: Callable[[Block], _Parsed | None], blocks: Iterator[Block]) -> Iterator[_Ahead]:
    """Yield each block with the result of ``work``, while threads work on the next blocks."""
    waiting: deque[tuple[Block, Future[_Parsed | None]]] = deque()
    with ThreadPoolExecutor(BLOCKS_AHEAD) as pool:
        for block in blocks:
            waiting.append((block, pool.submit(work, block)))
            if len(waiting) > BLOCKS_AHEAD:
                first, parsed = waiting.popleft()
                yield first, parsed.result()
        for first, parsed in waiting:
            yield first, parsed.result()


def _parse_sound(block: Block) -> _Parsed | None:
    """Parse a block's pixel texts; return None if a row is bad."""
    try:
        # Arrow splits and checks a whole block at once.
        numbers = pc.split_pattern(block.cells["pixels"], " ")
        if not pc.all(pc.equal(pc.list_value_length(numbers), PIXELS)).as_py():
            return None
        pixels = numbers.flatten().cast(pa.uint8()).to_numpy().reshape(-1, PIXELS)
    except pa.ArrowInvalid:
        return None
    return pixels, np.ones(len(pixels), dtype=bool)


def _parse_each(block: Block, file: str, rejections: Rejections) -> _Parsed:
    """Parse a block's pixel texts row by row, and refuse each bad row."""
    texts = block.cells["pixels"]
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
        if value not in _USUAL and not (
            value.isascii() and value.isdigit() and len(value) < 9 and int(value) < 256
        ):
            return f"the pixel {value[:20]!r} is not a whole number from 0 to 255"
    return None
