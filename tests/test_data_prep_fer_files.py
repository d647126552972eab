import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.fer_files import read_fer_rows
from data_prep.fer_png import picture_key, read_png
from data_prep.places import members
from data_prep.rejections import BadInputError, Rejections
from data_prep.votes import VOTE_NAMES
from tests.support.fer_factory import huge_png

COUNT = 200
USAGES = ["PrivateTest"] * 40 + ["Training"] * 120 + ["PublicTest"] * 40
"""In another order than Kaggle's, and as many rows of two of them."""
FOLDER_OF = {
    "Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test",
}  # fmt: skip
PIXELS = np.random.default_rng(4).integers(0, 256, (COUNT, 2304), dtype=np.uint8)


def names():
    return [f"fer{row:07d}.png" for row in range(COUNT)]


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_votes(path, *, usages=USAGES, image_names=None, no_face=(), count=COUNT):
    rows = [
        (usage, name, *([0] * 9 + [10] if row in no_face else [10] + [0] * 9))
        for row, (usage, name) in enumerate(zip(usages, image_names or names(), strict=True))
    ]
    return write_csv(path, ("Usage", "Image name", *VOTE_NAMES), rows[:count])


def write_pictures(path, *, count=COUNT, plus=0):
    rows = [
        (" ".join(map(str, (pixels + plus).tolist())), usage)
        for pixels, usage in zip(PIXELS, USAGES, strict=True)
    ]
    return write_csv(path, ("pixels", "Usage"), rows[:count])


@pytest.fixture(scope="module")
def pngs(tmp_path_factory):
    root = tmp_path_factory.mktemp("pngs") / "my faces"
    for usage, name, pixels in zip(USAGES, names(), PIXELS, strict=True):
        (root / FOLDER_OF[usage]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.reshape(48, 48)).save(root / FOLDER_OF[usage] / name)
    return root


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("csv") / "my fer2013.csv")


def noted(rejections):
    return [(one.image_id, one.file, one.row, one.reason) for one in rejections._rows]


def test_each_row_of_the_votes_gets_its_picture_from_either_layout(tmp_path, kaggle, pngs):
    votes = write_votes(tmp_path / "votes.csv")
    for images in (kaggle, pngs):
        rows = read_fer_rows(images, votes, Rejections())
        np.testing.assert_array_equal(rows.pixels, PIXELS)
        assert rows.usable.all()
        assert rows.votes.file == "votes.csv"
        assert rows.votes.usages.tolist() == USAGES
        assert rows.votes.image_names.tolist() == names()


def test_where_both_layouts_are_there_kaggles_file_counts(tmp_path, kaggle, pngs):
    both = shutil.copytree(pngs, tmp_path / "both")
    shutil.copy(kaggle, both / "fer2013.csv")
    (both / "FER2013Train" / names()[50]).unlink()
    rows = read_fer_rows(both, write_votes(tmp_path / "votes.csv"), Rejections())
    np.testing.assert_array_equal(rows.pixels, PIXELS)
    assert rows.usable.all()


def test_a_picture_counts_in_the_folder_of_its_usage_alone(tmp_path, pngs):
    """A picture of that name in another folder is not that picture."""
    mine = shutil.copytree(pngs, tmp_path / "mine")
    (mine / "FER2013Test" / names()[3]).rename(mine / "FER2013Valid" / names()[3])
    rejections = Rejections(skip_bad=True)
    rows = read_fer_rows(mine, write_votes(tmp_path / "v.csv"), rejections)
    assert np.flatnonzero(~rows.usable).tolist() == [3]
    assert noted(rejections) == [
        ("fer2013/00003", "v.csv", 3, f"mine lacks PrivateTest {names()[3]}"),
        ("", f"mine/FER2013Valid/{names()[3]}", None, "has no votes"),
    ]


def test_pictures_without_votes_are_listed_in_the_order_of_the_files(tmp_path, pngs):
    votes = write_votes(tmp_path / "v.csv", count=COUNT - 9)
    rejections = Rejections(skip_bad=True)
    read_fer_rows(pngs, votes, rejections)
    files = [f"{pngs.name}/FER2013Valid/{name}" for name in names()[-9:]]
    assert [one.file for one in rejections.rows] == files


def test_pictures_are_found_anywhere_below_by_folder_and_suffix(tmp_path, pngs):
    deep = tmp_path / "a b"
    shutil.copytree(pngs, deep / "c")
    for name in ("notes.txt", "x.jpg"):
        (deep / "c" / "FER2013Train" / name).write_text("none of ours")
    (deep / "c" / "Other").mkdir()
    (deep / "c" / "Other" / "y.png").write_text("none of ours")
    rows = read_fer_rows(deep, write_votes(tmp_path / "v.csv"), Rejections())
    assert rows.usable.all()
    (member,) = (one for one in members(deep, Rejections()) if one.path.name == names()[50])
    assert picture_key(member) == ("Training", names()[50])


def test_a_row_without_a_name_needs_no_picture_if_it_shows_no_face(tmp_path, pngs):
    mine = shutil.copytree(pngs, tmp_path / "mine")
    image_names = names()
    for row in (45, 46, 47):
        (mine / "FER2013Train" / names()[row]).unlink()
    image_names[45] = image_names[46] = ""
    votes = write_votes(tmp_path / "v.csv", image_names=image_names, no_face=(45, 47))
    rejections = Rejections(skip_bad=True)
    rows = read_fer_rows(mine, votes, rejections)
    assert np.flatnonzero(~rows.usable).tolist() == [46, 47]
    assert noted(rejections) == [
        ("fer2013/00046", "v.csv", 46, "mine lacks an image name"),
        ("fer2013/00047", "v.csv", 47, f"mine lacks Training {names()[47]}"),
    ]


def test_votes_that_are_named_come_before_those_in_the_archive(tmp_path):
    write_pictures(tmp_path / "in" / "icml_face_data.CSV")
    write_votes(tmp_path / "in" / "FER2013new.csv", no_face=range(COUNT))
    images = Path(shutil.make_archive(tmp_path / "my faces", "tar", tmp_path, "in"))
    own = write_votes(tmp_path / "own.csv", no_face=(5,))
    rows = read_fer_rows(images, own, Rejections())
    assert np.flatnonzero(rows.votes.votes[:, 9]).tolist() == [5]
    assert rows.votes.file == "own.csv"
    rows = read_fer_rows(images, None, Rejections())
    assert (rows.votes.votes[:, 9] == 10).all()
    assert rows.votes.file == "my faces.tar:in/FER2013new.csv"
    np.testing.assert_array_equal(rows.pixels, PIXELS)


def test_the_first_of_two_csv_files_counts(tmp_path):
    write_pictures(tmp_path / "in" / "a" / "fer2013.csv")
    write_pictures(tmp_path / "in" / "b" / "fer2013.csv", plus=1)
    write_votes(tmp_path / "in" / "a" / "fer2013new.csv", no_face=(5,))
    write_votes(tmp_path / "in" / "b" / "fer2013new.csv", no_face=(6,))
    rows = read_fer_rows(tmp_path / "in", None, Rejections())
    np.testing.assert_array_equal(rows.pixels, PIXELS)
    assert np.flatnonzero(rows.votes.votes[:, 9]).tolist() == [5]
    assert rows.votes.file == "in/a/fer2013new.csv"


def test_a_place_without_pictures_or_votes_is_refused(tmp_path, pngs):
    with pytest.raises(
        BadInputError, match=r"my faces: holds no fer2013new.csv; give its path with --v"
    ):
        read_fer_rows(pngs, None, Rejections())
    votes = write_votes(tmp_path / "in" / "fer2013new.csv")
    with pytest.raises(BadInputError, match=r"in: holds neither fer2013.csv nor icml_face_data"):
        read_fer_rows(tmp_path / "in", votes, Rejections())


def usages_but(*rows):
    return [
        ("PublicTest" if usage == "Training" else "Training") if row in rows else usage
        for row, usage in enumerate(USAGES)
    ]


def test_usages_may_differ_in_one_row_of_a_hundred(tmp_path, kaggle):
    """Two of 200 are refused one by one; three are files of two different sets."""
    votes = write_votes(tmp_path / "v.csv", usages=usages_but(50, 199))
    rejections = Rejections(skip_bad=True)
    rows = read_fer_rows(kaggle, votes, rejections)
    assert np.flatnonzero(~rows.usable).tolist() == [50, 199]
    kept = "in my fer2013.csv"
    assert noted(rejections) == [
        ("fer2013/00050", "v.csv", 50, f"Usage is PublicTest, but Training {kept}"),
        ("fer2013/00199", "v.csv", 199, f"Usage is Training, but PublicTest {kept}"),
    ]
    votes = write_votes(tmp_path / "v.csv", usages=usages_but(50, 60, 199))
    message = (
        r"^v.csv: its votes are not for the rows of my fer2013.csv \(200 and 200 rows; Usage "
        r"differs in 3, first in row 50\); give two complete files of the same set$"
    )
    with pytest.raises(BadInputError, match=message):
        read_fer_rows(kaggle, votes, Rejections(skip_bad=True))


def test_one_usage_that_differs_is_enough_where_a_row_is_lost(tmp_path, kaggle):
    votes = write_votes(tmp_path / "v.csv", usages=usages_but(50), count=199)
    with pytest.raises(BadInputError, match=r"\(199 and 200 rows; Usage differs in 1, first in"):
        read_fer_rows(kaggle, votes, Rejections(skip_bad=True))


def test_rows_beyond_the_end_of_the_other_file_are_refused_one_by_one(tmp_path, kaggle):
    rejections = Rejections(skip_bad=True)
    rows = read_fer_rows(kaggle, write_votes(tmp_path / "v.csv", count=198), rejections)
    assert rows.pixels.shape == (198, 2304)
    assert rows.usable.all()
    reason = "no votes; v.csv has 198 rows"
    assert noted(rejections) == [
        (f"fer2013/{row:05d}", "my fer2013.csv", row, reason) for row in (198, 199)
    ]
    short = write_pictures(tmp_path / "short.csv", count=197)
    rejections = Rejections(skip_bad=True)
    rows = read_fer_rows(short, write_votes(tmp_path / "v.csv"), rejections)
    assert np.flatnonzero(~rows.usable).tolist() == [197, 198, 199]
    np.testing.assert_array_equal(rows.pixels[:197], PIXELS[:197])
    assert not rows.pixels[197:].any()
    reason = "no picture; short.csv has 197 rows"
    assert noted(rejections) == [
        (f"fer2013/{row:05d}", "v.csv", row, reason) for row in (197, 198, 199)
    ]


def member_of(tmp_path, content):
    folder = tmp_path / "FER2013Valid"
    folder.mkdir(exist_ok=True)
    (folder / "a b.PNG").write_bytes(content)
    (member,) = members(tmp_path, Rejections())
    return member


def png_bytes(image, kind="PNG"):
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def test_a_png_is_read_row_by_row_as_gray_values(tmp_path):
    picture = PIXELS[0].reshape(48, 48)
    for image in (Image.fromarray(picture), Image.fromarray(picture).convert("RGB")):
        member = member_of(tmp_path, png_bytes(image))
        assert picture_key(member) == ("PublicTest", "a b.PNG")
        read = read_png(member)
        np.testing.assert_array_equal(read.pixels, PIXELS[0])
        assert (read.shown, read.fault) == (f"{tmp_path.name}/FER2013Valid/a b.PNG", "")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (png_bytes(Image.new("L", (48, 47))), "48×47 pixels instead of 48×48"),
        (png_bytes(Image.new("L", (48, 48)), "BMP"), "cannot identify image file"),
        (huge_png(10_000, 10_000), "Image size (100000000 pixels) exceeds limit"),
        (b"x" * 1_048_577, "1,048,577 bytes, more than any picture of 48×48 takes"),
        (b"x" * 1_048_576, "cannot identify image file"),
    ],
)
def test_another_file_in_place_of_a_png_cannot_be_used(tmp_path, content, fault):
    read = read_png(member_of(tmp_path, content))
    assert read.pixels is None
    assert read.fault.startswith(f"unreadable picture ({fault}")
