"""Reads pictures and labels from an npz file in the format of MedMNIST or Keras."""

import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_prep.records import Found, PictureReader, Record
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile
from fairsweep.errors import MissingFileError

NAMES = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
"""Names of the arrays of pictures and labels in MedMNIST and in Keras."""


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
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(f"{path}: cannot be read ({error}); download it again") from error
    return Found(records=records, in_colour=reader.in_colour)


def _records(arrays: Any, shown: str, reader: PictureReader) -> Iterator[Record]:
    found = False
    for split in ("train", "val", "test"):
        for ours in NAMES:
            pictures, labels = (name.format(split) for name in ours)
            if pictures in arrays and labels in arrays:
                found = True
                yield from _part(arrays[pictures], arrays[labels], split, shown, reader)
                break
    if not found:
        raise BadInputError(
            f"{shown}: has the arrays {', '.join(arrays)}; train_images, train_labels and so on "
            "are needed"
        )


def _part(
    pictures: Any, labels: Any, split: str, shown: str, reader: PictureReader
) -> Iterator[Record]:
    _check(pictures, labels, split, shown)
    for row, (picture, label) in enumerate(zip(pictures, labels.reshape(-1), strict=True)):
        yield Record(
            name=f"{split}/{row:06}",
            shown=shown,
            row=row,
            label=str(label),
            picture=reader.from_pixels(picture[..., 0] if picture.shape[2:] == (1,) else picture),
            subset=split,
        )


def _check(pictures: Any, labels: Any, split: str, shown: str) -> None:
    part = f"{shown}: the {split} pictures"
    if labels.size != len(labels):
        raise BadInputError(f"{part} have several labels each, which is not supported")
    if len(labels) != len(pictures):
        raise BadInputError(f"{part} are {len(pictures):,}, but there are {len(labels):,} labels")
    is_gray, is_colour = pictures.ndim == 3, pictures.ndim == 4 and pictures.shape[3] in (1, 3)
    if pictures.dtype != np.uint8 or not (is_gray or is_colour):
        raise BadInputError(
            f"{part} are {pictures.dtype} of shape {pictures.shape}; uint8 of (pictures, height, "
            "width) or (pictures, height, width, 3) is needed"
        )
