import csv

import pytest

from data_prep.rejections import BadInputError, Rejection, Rejections


def test_the_first_bad_row_ends_the_work_and_is_named_by_row_and_line():
    """The header is line 1, so row 0 is line 2."""
    message = r"^a file.csv, row 0 \(line 2\): is odd; mend it, or leave it out with --skip-bad$"
    with pytest.raises(BadInputError, match=message):
        Rejections().refuse("is odd", file="a file.csv", row=0, way_out="mend it")


def test_a_bad_file_is_named_without_a_row():
    with pytest.raises(BadInputError, match=r"^a.png: is odd; mend it, or leave it out with"):
        Rejections().refuse("is odd", file="a.png", way_out="mend it")


def test_skip_bad_is_not_offered_where_nothing_can_be_skipped():
    with pytest.raises(BadInputError, match=r"^a.png: is odd; mend it$"):
        Rejections(may_skip=False).refuse("is odd", file="a.png", way_out="mend it")


def test_rows_left_out_are_listed_in_their_order(tmp_path):
    rejections = Rejections(skip_bad=True)
    rejections.refuse("is odd", file="a.csv", row=5, image_id="x/5", way_out="mend it")
    rejections.leave_out([Rejection("x/2", "b.csv", 2, "über")])
    rejections.refuse("is gone", file="c.png", way_out="mend it")
    rejections.write(tmp_path / "rejected.csv")
    with (tmp_path / "rejected.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["image_id", "file", "row", "reason"],
            ["x/5", "a.csv", "5", "is odd"],
            ["x/2", "b.csv", "2", "über"],
            ["", "c.png", "", "is gone"],
        ]


def test_sound_rows_are_left_out_though_bad_ones_are_not_skipped(tmp_path):
    rejections = Rejections()
    rejections.leave_out([Rejection("x/2", "b.csv", 2, "no face")])
    rejections.write(tmp_path / "rejected.csv")
    assert "x/2,b.csv,2,no face" in (tmp_path / "rejected.csv").read_text()
