"""Reads picture files of any common kind as gray pixels of one size, the same way everywhere."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from fairsweep.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""How the names of picture files end, in small letters."""
MAX_PIXELS = 100_000_000
"""Largest picture that is decoded; it takes 400 MB at most, and no camera makes larger ones."""


_DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    LookupError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on damaged files."""


class PictureError(UserError):
    """A file that cannot be read as a picture; the message says why in a few words."""


def read_gray(source: Path | IO[bytes]) -> npt.NDArray[np.uint8]:
    """Read a picture as gray values, turned upright as its EXIF data say.

    Gray is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601); 16 bits become 8; what is
    transparent becomes white. The size is judged before any pixel is decoded.

    Returns:
        (height, width) gray values.

    Raises:
        PictureError: It is damaged, too large, or no picture of a known kind.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's own limit lies above ours; its warnings below that are of no concern here.
            warnings.simplefilter("ignore")
            with Image.open(source, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                return np.asarray(_to_gray(ImageOps.exif_transpose(image)), dtype=np.uint8)
    except Image.DecompressionBombError:
        raise PictureError(f"more than {MAX_PIXELS // 10**6} megapixels") from None
    except UnidentifiedImageError:
        raise PictureError(f"no picture of a known kind ({', '.join(FORMATS)})") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PictureError(f"damaged ({reason})") from error


def resize_gray(pixels: npt.NDArray[np.uint8], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Bring gray values to ``shape`` (height, width), whatever it does to the proportions.

    What gets smaller is averaged over all pixels that fall together, so that nothing aliases;
    what gets larger is interpolated linearly.
    """
    if pixels.shape == shape:
        return pixels
    smaller = pixels.shape[0] >= shape[0] and pixels.shape[1] >= shape[1]
    method = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(shape[::-1], method), dtype=np.uint8)


def _to_gray(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L")
