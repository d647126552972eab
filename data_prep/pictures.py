"""Reads picture files of all common kinds, in gray or in colour."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from fairsweep.errors import UserError, one_line

FORMATS = (
    "PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF", "TGA", "PCX", "SGI",
)  # fmt: skip
"""Kinds of pictures that Pillow reads without another program, by Pillow's names."""
SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".tif", ".tiff",
    ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".tga", ".pcx",
    ".sgi", ".rgb", ".bw",
)  # fmt: skip
"""Suffixes of picture files, in lower case."""
MAX_PIXELS = 100_000_000
"""Largest picture that is decoded, which takes 400 MB; no camera makes larger ones."""


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
"""Exceptions of Pillow on damaged files."""


Fit = Literal["stretch", "crop", "pad"]
FITS: tuple[str, ...] = get_args(Fit)
"""How a picture of other proportions is brought to those of the dataset."""


class PictureError(UserError):
    """A file cannot be read as a picture; the message says why in a few words."""


def read_gray(source: Path | IO[bytes]) -> npt.NDArray[np.uint8]:
    """Read a picture as gray values, rotated according to its EXIF data.

    Gray is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601). Transparent areas become white. Of
    several frames, the first is read. The size is checked before any pixel is decoded.

    Gray files of 16 bits are reduced to 8 bits by `used_bits`.

    Returns:
        (height, width) gray values.

    Raises:
        PictureError: The file is damaged, too large, not a picture of a known kind, or has values
            of an unknown range.
    """
    return read_picture(source).pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """The content of a picture file."""

    pixels: npt.NDArray[np.uint8]
    """(height, width) gray values, or (height, width, 3) red, green and blue."""
    is_deep: bool
    """True for a gray file of 16 bits."""
    bits: int
    """Bits that the values use: 8, 12 or 16."""
    frames: int
    """Number of frames in the file; the first is read."""


def read_picture(source: Path | IO[bytes], *, colour: bool = False) -> Picture:
    """Read a picture as `read_gray` does, or in colour, together with properties of its file.

    In colour, a gray file gives three equal channels. Raises the errors of `read_gray`.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of pictures smaller than our limit.
            warnings.simplefilter("ignore")
            with Image.open(source, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
                tile = str(image.tile)
                upright = ImageOps.exif_transpose(image)
                is_deep = upright.mode.startswith("I")
                bits = used_bits(np.asarray(upright)) if is_deep else 8
                mode = "RGB" if colour else "L"
                pixels = np.asarray(_to_mode(upright, mode, bits, tile), dtype=np.uint8)
                return Picture(pixels=pixels, is_deep=is_deep, bits=bits, frames=frames)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(f"more than {MAX_PIXELS // 10**6} megapixels") from None
    except UnidentifiedImageError:
        raise PictureError(f"no picture of a known kind ({', '.join(FORMATS)})") from None
    except _DAMAGE as error:
        reason = one_line(error)[:200]
        raise PictureError(f"damaged ({reason})") from error


def resize_pixels(pixels: npt.NDArray[np.uint8], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize a picture to ``shape`` (height, width), ignoring its proportions.

    Shrinking averages over all pixels that fall together, which avoids aliasing. Enlarging
    interpolates linearly.
    """
    if pixels.shape[:2] == shape:
        return pixels
    smaller = pixels.shape[0] >= shape[0] and pixels.shape[1] >= shape[1]
    method = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(shape[::-1], method), dtype=np.uint8)


def fit_pixels(
    pixels: npt.NDArray[np.uint8], shape: tuple[int, int], fit: Fit
) -> npt.NDArray[np.uint8]:
    """Resize a picture to ``shape`` (height, width) by `resize_pixels`.

    Args:
        pixels: (height, width) gray values or (height, width, 3) colours.
        shape: Height and width of the result.
        fit: ``stretch`` ignores proportions; ``crop`` takes the largest central part with the right
            proportions; ``pad`` adds black on two sides.
    """
    height, width = pixels.shape[:2]
    scales = (height / shape[0], width / shape[1])
    if fit == "stretch" or scales[0] == scales[1]:
        return resize_pixels(pixels, shape)
    scale = min(scales) if fit == "crop" else max(scales)
    rows, columns = (max(1, round(side * scale)) for side in shape)
    if fit == "crop":
        top, left = (height - rows) // 2, (width - columns) // 2
        return resize_pixels(pixels[top : top + rows, left : left + columns], shape)
    sides = [((n - m) // 2, n - m - (n - m) // 2) for n, m in ((rows, height), (columns, width))]
    return resize_pixels(np.pad(pixels, [*sides, *[(0, 0)] * (pixels.ndim - 2)]), shape)


def used_bits(values: npt.NDArray[np.integer]) -> int:
    """Return the smallest of 8, 12 and 16 bits that holds all values of a 16-bit gray file.

    Cameras and scanners with 12 bits often store their values unscaled in 16-bit files. Read as 16
    bits, they would be almost black.

    Raises:
        PictureError: A value does not fit into 16 bits.
    """
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high >= 1 << 16:
        raise PictureError(f"has values from {low:,} to {high:,}, which is outside 8 and 16 bits")
    return next(bits for bits in (8, 12, 16) if high < 1 << bits)


def to_gray(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the (…) gray values of (…, 3) colours, by the formula of `read_gray`.

    Values are rounded as by Pillow, so the result equals that of reading the file in gray.
    """
    red, green, blue = (colours[..., channel].astype(np.uint32) for channel in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)


def _to_mode(image: Image.Image, mode: str, bits: int, tile: str) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray((values >> (bits - 8)).astype(np.uint8)).convert(mode)
    if image.mode == "F":
        raise PictureError("has floating-point values of unknown range; save it as 8 bits")
    if ";16" in tile and 0 < np.asarray(image.convert("RGB")).max() < 1 << 4:
        # Pillow keeps the upper 8 bits of each colour.
        raise PictureError("has 16-bit colours that use 12 bits or fewer; save it as 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)
