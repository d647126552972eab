"""Reads idx files, the format of MNIST, FashionMNIST and similar sets, also in torchvision."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.records import SET_LABELS, Found, PictureReader, Record
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile

PICTURES = "images-idx3-ubyte"
LABELS = "labels-idx1-ubyte"
SPLITS = {"train": "train", "t10k": "test", "test": "test"}
"""First part of a file's name → split."""


def idx_files(folder: Path) -> Mapping[str, tuple[Path, Path]]:
    """Return the files of pictures and labels in a folder and its subfolders, by split.

    If a file is there both packed and unpacked, the unpacked file is used.

    Raises:
        BadInputError: There are files of several sets, as in EMNIST's folder.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for path in sorted(folder.rglob(f"*{PICTURES}*"), reverse=True):
        start, _, end = path.name.partition(PICTURES)
        labels = [path.with_name(f"{start}{LABELS}{suffix}") for suffix in ("", ".gz")]
        there = [file for file in labels if file.is_file()]
        split = SPLITS.get(start.strip("-").split("-")[-1])
        if split is None or not there or end not in ("", ".gz"):
            continue
        if split in found and found[split][0].name.removesuffix(".gz") != f"{start}{PICTURES}":
            raise BadInputError(
                f"{folder}: holds {found[split][0].name} and {path.name}, which belong to "
                "two sets; give a folder with the files of one set"
            )
        found[split] = (path, there[0])
    return found


def find_in_idx(source: Source, file: SourcesFile) -> Found:
    """Read pictures and labels of all splits; classes are the numbers of the labels.

    Raises:
        BadInputError: A file is damaged, or the numbers of pictures and labels differ.
    """
    assert source.path is not None
    reader = PictureReader(source, file)
    records: list[Record] = []
    for split, (pictures, labels) in sorted(idx_files(source.path).items()):
        records += _records(split, pictures, labels, reader)
    return Found(records=records, in_colour=reader.in_colour, rule=SET_LABELS)


def _records(split: str, pictures: Path, labels: Path, reader: PictureReader) -> Iterator[Record]:
    pixels, numbers = _read(pictures, 3), _read(labels, 1)
    if len(pixels) != len(numbers):
        raise BadInputError(
            f"{pictures}: holds {len(pixels):,} pictures, but {labels.name} {len(numbers):,} "
            "labels; download both again"
        )
    for row, (picture, label) in enumerate(zip(pixels, numbers.tolist(), strict=True)):
        yield Record(
            name=f"{split}/{row:06}",
            shown=pictures.name,
            row=row,
            label=str(label),
            picture=reader.from_pixels(picture),
            subset=split,
        )


def _read(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read one file: two zero bytes, the type (8: uint8), the dimensions, their sizes, the values.

    The format is described on the MNIST page of LeCun, Cortes and Burges.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInputError(f"{path}: cannot be read ({error}); download it again") from error
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start], dtype=">u4").astype(np.int64)
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) != start + shape.prod():
        raise BadInputError(
            f"{path}: is not an idx file of {dimensions} dimensions, or is cut short; "
            "download it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
