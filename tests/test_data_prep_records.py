"""How single pictures become those of the dataset, and what is noted of them."""

import io

import numpy as np
import pytest
from PIL import Image

from data_prep.pictures import PictureError, read_gray, resize_pixels, to_gray
from data_prep.records import PictureReader, ReadPicture
from data_prep.sources_file import Source, SourcesFile

GENERATOR = np.random.default_rng(2)
SIDE = 8


def reader(*, trim_margin=False, **file):
    source = Source(name="a", path="a", trim_margin=trim_margin)
    return PictureReader(source, SourcesFile(sources=(source,), image_size=SIDE, **file))


def encoded(pixels, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def colours(difference):
    """A picture of which one pixel has this difference between red and blue."""
    pixels = np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)
    pixels[2, 3, 0] += difference
    return pixels


@pytest.mark.parametrize(
    ("differences", "told"),
    [
        ([25, 0, 25, 0, 25], True),
        ([25, 0, 25, 0, 0], False),
        ([25, 0], False),  # most, not half of them
        ([24, 24, 24], False),
        ([25] * 51 + [0] * 60, True),  # the first fifty count
        ([0] * 50 + [25] * 60, False),
        ([], False),
    ],
)
def test_a_source_is_in_colour_if_most_of_its_first_pictures_are(differences, told):
    pictures = [colours(by) for by in differences]
    from_files, from_pixels, kept = reader(), reader(), reader(colour=True)
    files = [(None, encoded(one)) for one in pictures]
    assert len(list(from_files.from_files([(None, b"damaged"), *files]))) == len(files) + 1
    for one in pictures:
        from_pixels.from_pixels(one)
        kept.from_pixels(one)
    assert from_files.in_colour is from_pixels.in_colour is told
    assert not kept.in_colour, "nothing is lost"


def test_files_come_back_in_order_with_their_tags_and_errors_and_gaps():
    lost = OSError("gone")
    files = [
        (5, encoded(colours(0))),
        (3, b"damaged"),
        (4, None),
        (1, lost),
        (2, encoded(colours(9))),
    ]
    found = list(reader().from_files(files))
    assert [tag for tag, _ in found] == [5, 3, 4, 1, 2]
    kinds = [type(picture) for _, picture in found]
    assert kinds == [ReadPicture, PictureError, type(None), OSError, ReadPicture]
    assert found[3][1] is lost


def test_tags_stay_with_their_pictures_where_files_are_read_ahead(monkeypatch):
    monkeypatch.setattr("data_prep.in_parallel.FEW", 2)
    monkeypatch.setattr("data_prep.in_parallel.AT_ONCE", 2)
    files = [(gray, encoded(np.full((SIDE, SIDE), gray, np.uint8))) for gray in range(12)]
    found = [(tag, int(picture.pixels[0, 0])) for tag, picture in reader().from_files(files)]
    assert found == [(gray, gray) for gray in range(12)]


def test_arrays_become_gray_or_colour_as_the_dataset_is():
    gray, coloured = (
        GENERATOR.integers(0, 256, shape, dtype=np.uint8) for shape in ((9, 8), (9, 8, 3))
    )
    wanted = resize_pixels(to_gray(coloured), (SIDE, SIDE))
    found = reader().from_pixels(coloured)
    np.testing.assert_array_equal(found.pixels, wanted)
    assert (found.shape, found.bits, found.has_frames) == ((9, 8), 16, False)
    found = reader(colour=True).from_pixels(gray)
    assert found.pixels.shape == (SIDE, SIDE, 3)
    for channel in range(3):
        np.testing.assert_array_equal(found.pixels[..., channel], resize_pixels(gray, (SIDE, SIDE)))
    np.testing.assert_array_equal(
        reader(colour=True).from_pixels(coloured).pixels, resize_pixels(coloured, (SIDE, SIDE))
    )


def test_a_picture_is_kept_though_its_array_changes():
    pixels = GENERATOR.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    before = pixels.copy()
    found = reader().from_pixels(pixels)
    pixels[:] = 0
    np.testing.assert_array_equal(found.pixels, before)


def test_bits_are_those_of_deep_files_and_frames_are_more_than_one():
    deep = GENERATOR.integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)
    small = (deep // 32).astype(np.uint8)
    stream = io.BytesIO()
    images = [Image.fromarray(one) for one in (small, small.T)]
    images[0].save(stream, "GIF", save_all=True, append_images=images[1:])
    files = [encoded(deep), encoded(small), encoded(small, "BMP"), encoded(small, "JPEG")]
    found = [
        one for _, one in reader().from_files((None, file) for file in [*files, stream.getvalue()])
    ]
    assert [one.bits for one in found] == [12, 16, 16, 16, 16]
    assert [one.has_frames for one in found] == [False, False, False, False, True]


def test_of_a_stereo_photo_the_second_picture_is_no_frame():
    """Cameras keep a preview or a second view in the file (MPO)."""
    stream = io.BytesIO()
    first, second = (Image.fromarray(colours(by)) for by in (90, 0))
    first.save(stream, "MPO", save_all=True, append_images=[second])
    ((_, found),) = reader().from_files([(None, stream.getvalue())])
    assert not found.has_frames
    np.testing.assert_array_equal(found.pixels, read_gray(io.BytesIO(stream.getvalue())))


def test_a_margin_is_noted_and_taken_away_only_where_asked():
    pixels = np.pad(
        GENERATOR.integers(0, 200, (SIDE, SIDE), dtype=np.uint8), 4, constant_values=255
    )
    whole, trimmed = reader().from_pixels(pixels), reader(trim_margin=True).from_pixels(pixels)
    np.testing.assert_array_equal(trimmed.pixels, pixels[4:-4, 4:-4])
    np.testing.assert_array_equal(whole.pixels, resize_pixels(pixels, (SIDE, SIDE)))
    assert whole.has_margin
    assert trimmed.has_margin
    assert whole.shape == trimmed.shape == (16, 16)
    assert not reader().from_pixels(pixels[4:-4, 4:-4]).has_margin


def test_oblong_pictures_are_fitted_as_the_dataset_asks():
    pixels = np.full((SIDE, 2 * SIDE), 200, dtype=np.uint8)
    assert reader(fit="pad").from_pixels(pixels).pixels[0].max() == 0
    assert reader(fit="crop").from_pixels(pixels).pixels.min() == 200
