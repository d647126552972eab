"""Reads pictures and labels from an npz file in the format of MedMNIST or Keras."""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from data_prep.records import SET_LABELS, Found, PictureReader, Record
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile
from fairsweep.errors import MissingFileError

NAMES = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
"""Names of the arrays of pictures and labels in MedMNIST and in Keras."""


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What a file says about its array."""

    shape: tuple[int, ...]
    is_by_columns: bool
    """True if the array is in Fortran's order."""
    kind: np.dtype[Any]


def find_in_npz(source: Source, file: SourcesFile) -> Found:
    """Read an npz file with ``train_images``, ``train_labels``, and likewise val and test.

    Raises:
        MissingFileError: The file does not exist.
        BadInputError: The file cannot be read, or its arrays have other names, types or shapes.
    """
    path = source.path
    assert path is not None
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; check the path")
    reader = PictureReader(source, file)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            records = list(_records(arrays, path.name, reader))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(f"{path}: cannot be read ({error}); download it again") from error
    return Found(records=records, in_colour=reader.in_colour, rule=SET_LABELS)


def _records(arrays: Any, shown: str, reader: PictureReader) -> Iterator[Record]:
    there = {
        split: [names for names in _names(split) if names[0] in arrays]
        for split in ("train", "val", "test")
    }
    if not any(labels in arrays for pairs in there.values() for _, labels in pairs):
        raise BadInputError(
            f"{shown}: has the arrays {', '.join(arrays)}; train_images, train_labels and so on "
            "are needed"
        )
    for split, pairs in there.items():
        if pairs:
            pictures, labels = max(pairs, key=lambda names: names[1] in arrays)
            yield from _part(arrays, pictures, arrays.get(labels), split, shown, reader)


def _names(split: str) -> list[tuple[str, str]]:
    return [(pictures.format(split), labels.format(split)) for pictures, labels in NAMES]


def _part(
    arrays: Any, name: str, labels: Any, split: str, shown: str, reader: PictureReader
) -> Iterator[Record]:
    """Yield the pictures of a split; ``labels`` is None if it has none."""
    member = name if name in arrays.zip.namelist() else f"{name}.npy"
    with arrays.zip.open(member) as stream:
        header = _header(stream)
        if labels is None:
            labels = np.full(header.shape[:1], "")
        _check(header, labels, split, shown)
        pictures = arrays[name] if header.is_by_columns else _one_by_one(stream, header)
        for row, (picture, label) in enumerate(zip(pictures, labels.reshape(-1), strict=True)):
            plain = picture[..., 0] if picture.shape[2:] == (1,) else picture
            yield Record(
                name=f"{split}/{row:06}",
                shown=shown,
                row=row,
                label=str(label),
                picture=reader.from_pixels(plain),
                subset=split,
            )


def _header(stream: IO[bytes]) -> _Header:
    """Read the header of an array, which comes before its values."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(stream)]
    shape, is_by_columns, kind = read(stream)
    return _Header(shape=shape, is_by_columns=is_by_columns, kind=kind)


def _one_by_one(stream: IO[bytes], header: _Header) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield each picture of an array; as a whole, it may be larger than the memory."""
    size = prod(header.shape[1:])
    for _ in range(header.shape[0]):
        content = stream.read(size)
        if len(content) < size:
            raise EOFError("its pictures are cut short")
        yield np.frombuffer(content, np.uint8).reshape(header.shape[1:])


def _check(pictures: _Header, labels: Any, split: str, shown: str) -> None:
    part = f"{shown}: the {split} pictures"
    if labels.ndim == 0 or labels.size != len(labels):
        raise BadInputError(f"{part} have several labels each, which is not supported")
    shape = pictures.shape
    is_gray, is_colour = len(shape) == 3, len(shape) == 4 and shape[3] in (1, 3)
    if pictures.kind != np.uint8 or not (is_gray or is_colour):
        raise BadInputError(
            f"{part} are {pictures.kind} of shape {shape}; uint8 of (pictures, height, "
            "width) or (pictures, height, width, 3) is needed"
        )
    if len(labels) != shape[0]:
        raise BadInputError(f"{part} are {shape[0]:,}, but there are {len(labels):,} labels")
