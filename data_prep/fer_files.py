"""Finds the files of FER2013 in any of its layouts and joins pictures with votes, row by row."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.fer_png import Key, PngPicture, picture_key, read_png
from data_prep.kaggle_csv import PIXELS, KagglePictures, read_kaggle_csv
from data_prep.places import is_archive, members
from data_prep.rejections import BadInputError, Rejections
from data_prep.votes import VOTE_NAMES, VoteTable, image_id, read_votes

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
VOTES_NAME = "fer2013new.csv"
_WAY_OUT = "give two complete files of the same set"
MAX_WRONG_USAGES = 0.01
"""If Usage differs in more than this share of rows, pictures and votes are of different sets."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FerRows:
    """The n rows of the votes file, each with its picture."""

    votes: VoteTable
    pixels: npt.NDArray[np.uint8]
    """(n, 2304) gray values; zeros for a row without a picture."""
    usable: npt.NDArray[np.bool_]
    """(n,) False if the votes or the picture were refused."""


@dataclass(kw_only=True, eq=False)
class _Found:
    """The votes and pictures found so far."""

    votes: VoteTable | None = None
    kaggle: KagglePictures | None = None
    pngs: dict[Key, PngPicture] = field(default_factory=dict)


def read_fer_rows(images: Path, votes: Path | None, rejections: Rejections) -> FerRows:
    """Read pictures and votes and join them.

    Args:
        images: Kaggle's CSV, the FER+ folder of PNGs, or a folder or archive that holds either.
        votes: ``fer2013new.csv``; None if it is in the folder or archive.
        rejections: Collects bad rows.

    Raises:
        FileNotFoundError: A file does not exist.
        BadInputError: No pictures or no votes were found, or the votes belong to another set. If
            bad rows are not skipped, also: a row is bad.
    """
    found = _find(images, votes, rejections)
    if found.votes is None:
        raise BadInputError(f"{images}: holds no {VOTES_NAME}; give its path with --votes")
    if found.kaggle is not None:
        return _join_by_row(found.votes, found.kaggle, rejections)
    if found.pngs:
        return _join_by_name(found.votes, found.pngs, images.name, rejections)
    raise BadInputError(
        f"{images}: holds neither {' nor '.join(CSV_NAMES)} nor pictures in FER2013Train, "
        "FER2013Valid or FER2013Test; give the path of one of these"
    )


def _find(images: Path, votes: Path | None, rejections: Rejections) -> _Found:
    found = _Found()
    if votes is not None:
        with votes.open("rb") as stream:
            found.votes = read_votes(stream, votes.name, rejections)
    if images.is_file() and not is_archive(images):
        with images.open("rb") as stream:
            found.kaggle = read_kaggle_csv(stream, images.name, rejections)
        return found
    for member in members(images, rejections):
        name, key = member.path.name.lower(), picture_key(member)
        if key is not None:
            found.pngs[key] = read_png(member)
        elif name in CSV_NAMES and found.kaggle is None:
            with member.open() as stream:
                found.kaggle = read_kaggle_csv(stream, member.shown, rejections)
        elif name == VOTES_NAME and found.votes is None:
            with member.open() as stream:
                found.votes = read_votes(stream, member.shown, rejections)
    return found


def _join_by_row(votes: VoteTable, kaggle: KagglePictures, rejections: Rejections) -> FerRows:
    count, pictures = len(votes.sound), len(kaggle.sound)
    both = min(count, pictures)
    same = votes.usages[:both] == kaggle.usages[:both]
    sound = votes.sound[:both] & kaggle.sound[:both]
    wrong = np.flatnonzero(sound & ~same).tolist()
    if wrong and (count != pictures or len(wrong) > MAX_WRONG_USAGES * both):
        raise BadInputError(
            f"{votes.file}: its votes are not for the rows of {kaggle.file} ({count:,} and "
            f"{pictures:,} rows; Usage differs in {len(wrong):,}, first in row {wrong[0]}); "
            f"{_WAY_OUT}"
        )
    for row in wrong:
        reason = f"Usage is {votes.usages[row]}, but {kaggle.usages[row]} in {kaggle.file}"
        _refuse(reason, votes.file, row, rejections)
    for row in (both + np.flatnonzero(votes.sound[both:])).tolist():
        _refuse(f"no picture; {kaggle.file} has {pictures:,} rows", votes.file, row, rejections)
    for row in (both + np.flatnonzero(kaggle.sound[both:])).tolist():
        _refuse(f"no votes; {votes.file} has {count:,} rows", kaggle.file, row, rejections)
    usable = np.zeros(count, dtype=bool)
    usable[:both] = sound & same
    pixels = np.zeros((count, PIXELS), dtype=np.uint8)
    pixels[:both] = kaggle.pixels[:both]
    return FerRows(votes=votes, pixels=pixels, usable=usable)


def _join_by_name(
    votes: VoteTable, pngs: dict[Key, PngPicture], place: str, rejections: Rejections
) -> FerRows:
    pixels = np.zeros((len(votes.sound), PIXELS), dtype=np.uint8)
    usable = votes.sound.copy()
    no_face = votes.votes[:, VOTE_NAMES.index("NF")] > 0
    keys = list(zip(votes.usages.tolist(), votes.image_names.tolist(), strict=True))
    for row in np.flatnonzero(votes.sound).tolist():
        png = pngs.get(keys[row])
        if png is not None and png.pixels is not None:
            pixels[row] = png.pixels
            continue
        usable[row] = False
        if png is not None:
            _refuse(png.fault, png.shown, row, rejections)
        elif keys[row][1] or not no_face[row]:
            picture = " ".join(keys[row]) if keys[row][1] else "an image name"
            _refuse(f"{place} lacks {picture}", votes.file, row, rejections)
        else:
            usable[row] = True  # Without a face there is no picture; cleaning removes the row.
    with_votes = set(keys)
    for key, png in pngs.items():
        if key not in with_votes:
            rejections.refuse("has no votes", file=png.shown, way_out="remove the picture")
    return FerRows(votes=votes, pixels=pixels, usable=usable)


def _refuse(reason: str, file: str, row: int, rejections: Rejections) -> None:
    rejections.refuse(reason, file=file, row=row, image_id=image_id(row), way_out=_WAY_OUT)
