import numpy as np
import pytest

from data_prep.group_columns import count_by_split, read_group_columns
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
        BadInputError, match=r"groups.csv, row 1 \(line 3\): 'fer2013/00000' appears"
    ):
        read(tmp_path, text)
    joined = read(tmp_path, text, skip_bad=True)
    assert joined.columns["age"].to_pylist() == ["child", None, None]


def test_only_pictures_of_the_dataset_are_counted(tmp_path):
    """Two ids of no picture have empty cells too; spaces around a cell make it no value."""
    joined = read(
        tmp_path,
        "age, image_id ,gender\n"
        " ,fer2013/88888,\n"
        " , fer2013/00004 ,male\n"
        "adult,fer2013/99999,\n"
        " old ,fer2013/00000,\n",
    )
    columns = {name: cells.to_pylist() for name, cells in joined.columns.items()}
    assert columns == {"age": ["old", None, None], "gender": [None, None, "male"]}
    assert list(columns) == ["age", "gender"]
    assert joined.notes == {
        "unknown_ids": 2, "pictures_without": 1, "empty_cells": {"age": 1, "gender": 1},
    }  # fmt: skip


def test_a_row_that_stands_twice_is_listed_by_its_picture(tmp_path):
    rejections = Rejections(skip_bad=True)
    (tmp_path / "my groups.csv").write_text("image_id,age\na,1\nb,2\na,3\nb,4,5\n")
    read_group_columns(tmp_path / "my groups.csv", ["a"], rejections)
    assert [(one.image_id, one.file, one.row) for one in rejections._rows] == [
        ("a", "my groups.csv", 2),
        ("", "my groups.csv", 3),
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("name,age", "needs the column image_id and at least one more"),
        ("image_id", "needs the column image_id and at least one more"),
        ("image_id,split", "every dataset has a column split of its own"),
        ("image_id,votes_anger", "every dataset has a column votes_anger of its own"),
        (
            "image_id,age,fold,duplicate_group",
            "every dataset has a column duplicate_group of its own",
        ),
        ("image_id,soft_label", "every dataset has a column soft_label of its own"),
        ("image_id,image_id,age", "name 'image_id' in its header is empty or appears twice"),
        ("image_id,age,age", "name 'age' in its header is empty or appears twice"),
        ("image_id,age,", "name '' in its header is empty or appears twice"),
    ],
)
@pytest.mark.parametrize("rows", [0, 1])
def test_columns_that_cannot_be_joined_are_refused(tmp_path, header, rows, message):
    row = ",".join("x" for _ in header.split(",")) + "\n"
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, f"{header}\n{rows * row}")


def test_a_file_of_another_dataset_is_refused(tmp_path):
    message = r"none of its 2 ids is the id of a picture; its first is '1.png', and the dataset"
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, "image_id,age\n1.png,old\n2.png,young\n", skip_bad=True)


def test_ids_and_groups_that_look_equal_are_equal(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text(
        "image_id,mood\ns\\cafe\u0301\\1.png,blase\u0301\ns/caf\u00e9/2.png,blas\u00e9\n"
    )
    ids = ["s/caf\u00e9/1.png", "s/cafe\u0301/2.png", "s/x/3.png"]
    found = read_group_columns(path, ids, Rejections())
    assert found.columns["mood"].to_pylist() == ["blas\u00e9", "blas\u00e9", None]
    assert found.named.tolist() == [True, True, False]
    splits = np.array(["val", "train", "test"])
    assert count_by_split(found.named, splits) == (
        "of your 2 annotated pictures 1 are in validation, 1 in train, 0 in test"
    )
