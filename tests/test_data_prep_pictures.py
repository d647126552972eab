import io
import struct
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image

from data_prep import pictures
from data_prep.pictures import PictureError, read_gray, resize_pixels
from tests.support.fer_factory import huge_png

GRAY = np.random.default_rng(8).integers(0, 256, (5, 9), dtype=np.uint8)
"""Wider than high."""


def encoded(image: Image.Image, kind: str = "PNG", **more) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, kind, **more)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_a_gray_picture_is_read_as_it_is(kind):
    more = {"lossless": True} if kind == "WEBP" else {}
    found = read_gray(encoded(Image.fromarray(GRAY), kind, **more))
    # WebP goes through RGB
    np.testing.assert_allclose(found.astype(int), GRAY, atol=1 if kind == "WEBP" else 0)
    assert found.dtype == np.uint8


def test_a_picture_is_read_from_a_path_with_a_space(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "my face.png")
    np.testing.assert_array_equal(read_gray(tmp_path / "my face.png"), GRAY)


@pytest.mark.parametrize(
    ("colour", "gray"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)]
)
def test_colours_are_weighed_by_bt_601(colour, gray):
    """0.299, 0.587 and 0.114 of 255."""
    assert read_gray(encoded(Image.new("RGB", (3, 2), colour))).tolist() == [[gray] * 3] * 2


def test_what_is_transparent_becomes_white():
    image = Image.new("RGBA", (3, 1))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.putpixel((2, 0), (100, 100, 100, 128))
    white, black, half = read_gray(encoded(image))[0].tolist()
    assert (white, black) == (255, 0)
    assert half == pytest.approx(100 * 128 / 255 + 255 * 127 / 255, abs=1)


def test_a_transparent_colour_of_a_palette_becomes_white():
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 90, 90, 90])
    image.putpixel((1, 0), 1)
    assert read_gray(encoded(image, transparency=0)).tolist() == [[255, 90]]


def test_sixteen_bits_become_eight_by_their_upper_half():
    deep = np.array([[0, 255, 256, 40000, 65535]], dtype=np.uint16)
    assert read_gray(encoded(Image.fromarray(deep))).tolist() == [[0, 0, 1, 156, 255]]


def test_a_photo_is_turned_upright():
    image = Image.fromarray(GRAY)
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees
    found = read_gray(encoded(image, exif=exif.tobytes()))
    np.testing.assert_array_equal(found, np.rot90(GRAY, -1))


def test_a_picture_may_have_as_many_pixels_as_the_limit_and_no_more(monkeypatch):
    assert pictures.MAX_PIXELS == 100_000_000
    monkeypatch.setattr(pictures, "MAX_PIXELS", 45)
    assert read_gray(encoded(Image.fromarray(GRAY))).shape == (5, 9)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 44)
    with pytest.raises(PictureError, match="more than 0 megapixels"):
        read_gray(encoded(Image.fromarray(GRAY)))


def test_a_huge_picture_is_refused_by_its_header():
    with pytest.raises(PictureError, match=r"^more than 100 megapixels$"):
        read_gray(io.BytesIO(huge_png(10_001, 10_000)))


def test_other_kinds_are_refused():
    message = r"^no picture of a known kind \(PNG, JPEG, .*\)$"
    for stream in (encoded(Image.fromarray(GRAY), "ICO"), io.BytesIO(b"text"), io.BytesIO()):
        with pytest.raises(PictureError, match=message):
            read_gray(stream)


def test_a_damaged_picture_is_refused_with_the_reason_in_a_line():
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    content = encoded(Image.fromarray(noise)).getvalue()
    with pytest.raises(PictureError, match=r"^damaged \(.+\)$"):
        read_gray(io.BytesIO(content[: len(content) // 2]))


def test_what_gets_smaller_is_averaged_over_its_pixels():
    picture = np.array([[0, 100, 10, 10], [100, 200, 10, 14]], dtype=np.uint8)
    assert resize_pixels(picture, (1, 2)).tolist() == [[100, 11]]


def test_the_shape_is_height_and_width():
    assert resize_pixels(GRAY, (3, 7)).shape == (3, 7)
    assert resize_pixels(GRAY, (20, 30)).shape == (20, 30)
    assert resize_pixels(GRAY, (5, 9)) is GRAY


def test_what_gets_larger_on_any_side_is_interpolated():
    step = np.array([[0, 200]], dtype=np.uint8)
    # Centres of the four new pixels lie at 0.25, 0.75, 1.25 and 1.75 of the two old ones.
    assert resize_pixels(step, (1, 4)).tolist() == [[0, 50, 150, 200]]
    tall = np.repeat(step, 4, axis=0)
    assert resize_pixels(tall, (2, 4)).tolist() == [[0, 50, 150, 200]] * 2


def test_one_side_that_stays_does_not_make_a_picture_larger():
    picture = np.array([[0, 100, 50, 51]], dtype=np.uint8)
    assert resize_pixels(picture, (1, 2)).tolist() == [[50, 51]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("values", "gray"),
    [
        ([0, 128, 255], [0, 128, 255]),  # 8 bits
        ([0, 2048, 4095], [0, 128, 255]),  # 12 bits, as cameras and scanners store them
        ([0, 256, 4096], [0, 1, 16]),  # 16 bits
        ([0, 32768, 65535], [0, 128, 255]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_gray_of_8_or_12_bits_in_a_file_of_16_is_not_black(values, gray, kind):
    image = Image.fromarray(np.array([values], dtype=np.uint16))
    assert read_gray(encoded(image, kind)).tolist() == [gray]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.0, 0.5]], dtype=np.float32), "floating-point values"),
        (np.array([[0, 65536]], dtype=np.int32), "values from 0 to 65,536"),
        (np.array([[-1, 9]], dtype=np.int32), "values from -1 to 9"),
    ],
)
def test_values_whose_range_is_not_known_are_refused(values, message):
    with pytest.raises(PictureError, match=message):
        read_gray(encoded(Image.fromarray(values), "TIFF"))


def colour_of_16_bits(values):
    """A PNG of 16 bits a colour, which Pillow does not write."""
    height, width, _ = values.shape

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + parts)


def test_colours_of_12_bits_in_a_file_of_16_are_refused():
    values = np.full((2, 2, 3), 65535)
    assert read_gray(colour_of_16_bits(values)).tolist() == [[255, 255]] * 2
    with pytest.raises(PictureError, match="has 16-bit colours that use 12 bits or fewer"):
        read_gray(colour_of_16_bits(values // 16))
