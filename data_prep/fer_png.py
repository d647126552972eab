"""Reads the PNG pictures of the FER+ folders."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_prep.kaggle_csv import PIXELS, SIDE
from data_prep.places import READ_ERRORS, Member
from fairsweep.errors import UserError, one_line

FOLDERS = {"FER2013Train": "Training", "FER2013Valid": "PublicTest", "FER2013Test": "PrivateTest"}
"""Folder written by the FER+ tools → Usage in the votes file."""
MAX_FILE_BYTES = 1 << 20
"""A picture of 48 × 48 pixels takes 2 kB; a file larger than this is something else."""

Key = tuple[str, str]
"""Usage and file name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PngPicture:
    """One picture file."""

    shown: str
    """Path for messages."""
    pixels: npt.NDArray[np.uint8] | None = None
    """(2304,) gray values; None if the file cannot be used."""
    fault: str = ""
    """Why the file cannot be used."""


def picture_key(member: Member) -> Key | None:
    """Return the Usage and name of a picture, from its path; None for any other file."""
    usage = FOLDERS.get(member.path.parent.name)
    is_png = member.path.suffix.lower() == ".png"
    return (usage, member.path.name) if usage and is_png else None


def read_png(member: Member) -> PngPicture:
    """Read one picture; its size is checked in the header, before any pixel is decoded."""
    try:
        return PngPicture(shown=member.shown, pixels=_decode(member))
    except (*READ_ERRORS, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:
        reason = one_line(error)[:200]
        return PngPicture(shown=member.shown, fault=f"unreadable picture ({reason})")


def _decode(member: Member) -> npt.NDArray[np.uint8]:
    if member.size_bytes > MAX_FILE_BYTES:
        raise UserError(f"{member.size_bytes:,} bytes, more than any picture of 48×48 takes")
    with member.open() as stream:
        content = io.BytesIO(stream.read())
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(content, formats=["PNG"]) as image:
            if image.size != (SIDE, SIDE):
                raise UserError(f"{image.width}×{image.height} pixels instead of {SIDE}×{SIDE}")
            return np.asarray(image.convert("L"), dtype=np.uint8).reshape(PIXELS)
