"""Writes small FER2013 sets in each of its layouts, and helpers to corrupt them."""

import csv
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image

from data_prep.fer_png import FOLDERS
from data_prep.synthetic import draw_raw, write_raw

RAW_IMAGES = 300


def write_small_csv(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return write_raw(folder, draw_raw(RAW_IMAGES, seed=7))


def write_small_pngs(folder: Path) -> Path:
    """The FER+ layout of the same set: three folders of pictures and the votes."""
    pictures, votes = write_small_csv(folder)
    folder_of = {usage: name for name, usage in FOLDERS.items()}
    for name in FOLDERS:
        (folder / name).mkdir()
    for (_, pixels, usage), (_, name, *_) in zip(
        read_rows(pictures)[1:], read_rows(votes)[1:], strict=True
    ):
        if name:
            picture = Image.frombytes("L", (48, 48), bytes(map(int, pixels.split())))
            picture.save(folder / folder_of[usage] / name)
    pictures.unlink()
    return folder


def read_rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def write_rows(path: Path, rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def change_cell(path: Path, row: int, column: int, change: Callable[[str], str]) -> None:
    """Change one cell; rows count from 0 below the header."""
    rows = read_rows(path)
    rows[row + 1][column] = change(rows[row + 1][column])
    write_rows(path, rows)


def huge_png(width: int, height: int) -> bytes:
    """A valid PNG header that declares more pixels than fit into memory."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
