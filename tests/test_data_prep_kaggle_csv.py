import io

import numpy as np
import pytest

from data_prep.kaggle_csv import read_kaggle_csv
from data_prep.rejections import BadInputError, Rejections

PIXELS = np.random.default_rng(9).integers(0, 256, (60, 2304), dtype=np.uint8)
USAGES = ("PrivateTest", "Training", "PublicTest")


def text_of(row, *, space=" ", last=None):
    numbers = [str(value) for value in PIXELS[row]]
    return space.join([*numbers[:-1], numbers[-1] if last is None else last])


def content(rows=range(60), **cells):
    """A CSV of these rows; ``cells`` has the pixels of some, as ``row_3="…"``."""
    lines = [f"{USAGES[row % 3]} ,{cells.get(f'row_{row}', text_of(row))},7" for row in rows]
    return io.BytesIO("\n".join(["Usage, pixels,emotion", *lines, ""]).encode())


@pytest.fixture(params=[1 << 15, 1 << 22], ids=["many blocks", "one block"])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr("data_prep.csv_rows.BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("block_bytes")
def test_pictures_and_usages_stand_in_the_rows_of_the_file():
    found = read_kaggle_csv(content(), "my faces.csv", Rejections())
    assert found.file == "my faces.csv"
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert found.pixels.dtype == np.uint8
    assert found.usages.tolist() == [USAGES[row % 3] for row in range(60)]
    assert found.sound.all()


@pytest.mark.usefixtures("block_bytes")
def test_rows_that_are_refused_are_empty_and_the_others_keep_their_places():
    rejections = Rejections(skip_bad=True)
    cells = {"row_7": text_of(7, last="256"), "row_31": text_of(31) + " 1", "row_32": "1,2"}
    # Together with row 31, it has as many pixels as two pictures.
    cells["row_30"] = text_of(30).rpartition(" ")[0]
    found = read_kaggle_csv(content(**cells), "f.csv", rejections)
    bad = [7, 30, 31, 32]
    wanted = PIXELS.copy()
    wanted[bad] = 0
    np.testing.assert_array_equal(found.pixels, wanted)
    assert np.flatnonzero(~found.sound).tolist() == bad
    assert found.usages[32] == ""
    assert sorted((one.row, one.image_id, one.reason) for one in rejections._rows) == [
        (7, "fer2013/00007", "the pixel '256' is not a whole number from 0 to 255"),
        (30, "fer2013/00030", "2,303 pixels where a picture has 2,304"),
        (31, "fer2013/00031", "2,305 pixels where a picture has 2,304"),
        (32, "fer2013/00032", "4 cells where the header has 3"),
    ]


def test_a_row_of_an_unknown_usage_is_not_sound():
    stream = io.BytesIO(content().getvalue().replace(b"\nPublicTest ,", b"\nPublic test,", 1))
    rejections = Rejections(skip_bad=True)
    found = read_kaggle_csv(stream, "f.csv", rejections)
    assert np.flatnonzero(~found.sound).tolist() == [2]
    (noted,) = rejections._rows
    usages = "Training, PublicTest, PrivateTest"
    assert (noted.file, noted.row, noted.image_id) == ("f.csv", 2, "fer2013/00002")
    assert noted.reason == f"Usage is none of {usages}, but 'Public test'"


def test_a_row_is_refused_for_its_pixels_before_its_usage():
    stream = io.BytesIO(content(row_2="1 2").getvalue().replace(b"PublicTest ,", b"x,", 1))
    rejections = Rejections(skip_bad=True)
    read_kaggle_csv(stream, "f.csv", rejections)
    assert [one.reason for one in rejections._rows] == ["2 pixels where a picture has 2,304"]


def test_spaces_between_and_around_the_pixels_do_not_count():
    cells = {"row_4": f" {text_of(4, space='  ')} ", "row_5": text_of(5, last="007")}
    found = read_kaggle_csv(content(**cells), "f.csv", Rejections())
    np.testing.assert_array_equal(found.pixels[4], PIXELS[4])
    assert found.pixels[5, -1] == 7
    assert found.sound.all()


@pytest.mark.parametrize(
    "value",
    ["256", "-1", "1.5", "x", "²", pytest.param("9" * 5000, id="more digits than int takes")],
)
def test_a_pixel_is_a_whole_number_up_to_255(value):
    message = f"row 3 .* the pixel '{value[:20]}' is not a whole number"
    with pytest.raises(BadInputError, match=message):
        read_kaggle_csv(content(row_3=text_of(3, last=value)), "f.csv", Rejections())


def test_a_file_without_rows_holds_no_pictures():
    with pytest.raises(BadInputError, match=r"^f.csv: holds no pictures; give the complete file"):
        read_kaggle_csv(content(rows=()), "f.csv", Rejections(skip_bad=True))
