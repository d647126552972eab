import pytest

from data_prep.group_columns import read_group_columns
from data_prep.rejections import BadInputError, Rejections

IDS = ["fer2013/00000", "fer2013/00003", "fer2013/00004"]


def read(tmp_path, text, *, skip_bad=False):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    return read_group_columns(path, IDS, Rejections(skip_bad=skip_bad))


def test_cells_join_by_id_and_what_does_not_fit_is_told(tmp_path):
    joined = read(
        tmp_path,
        "gender, image_id,age\n"
        "female,fer2013/00003,\n"
        "male,fer2013/00000,child\n"
        "male,fer2013/99999,adult\n",
    )
    columns = {name: cells.to_pylist() for name, cells in joined.columns.items()}
    assert columns == {"gender": ["male", "female", None], "age": ["child", None, None]}
    assert joined.notes == {"unknown_ids": 1, "pictures_without": 1, "empty_cells": {"age": 1}}


def test_an_id_that_stands_twice_is_refused_or_its_first_row_counts(tmp_path):
    text = "image_id,age\nfer2013/00000,child\nfer2013/00000,adult\n"
    with pytest.raises(
        BadInputError, match=r"groups.csv, row 1 \(line 3\): 'fer2013/00000' stands"
    ):
        read(tmp_path, text)
    joined = read(tmp_path, text, skip_bad=True)
    assert joined.columns["age"].to_pylist() == ["child", None, None]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("name,age", "give image_id and at least one more"),
        ("image_id", "give image_id and at least one more"),
        ("image_id,split", "column split has a name of ours"),
        ("image_id,votes_anger", "column votes_anger has a name of ours"),
        ("image_id,age,age", "column 'age', which is empty or stands twice"),
        ("image_id,age,", "column '', which is empty or stands twice"),
    ],
)
@pytest.mark.parametrize("rows", [0, 1])
def test_columns_that_cannot_be_joined_are_refused(tmp_path, header, rows, message):
    row = ",".join("x" for _ in header.split(",")) + "\n"
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, f"{header}\n{rows * row}")
