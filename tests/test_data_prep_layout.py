from pathlib import PurePosixPath

import pytest

from data_prep.layout import (
    Layout,
    NestedLayout,
    common_folder,
    folded,
    same_text,
    subset_above,
    subset_of,
)

CIFAR = ("train/apple", "train/train", "test/apple", "test/train")
VEHICLES = ("train", "car")
NESTED = ("car/train", "car/test", "train/train", "train/test")
EMOTIONS = ("happy/train", "happy/valid", "sad/train")
FORMS = ("train/valid", "train/invalid", "val/valid", "val/invalid")


@pytest.mark.parametrize(
    ("folders", "classes", "folder", "theirs", "subset"),
    [
        (CIFAR, ("apple", "train"), "train/train", "train", "train"),
        (CIFAR, ("apple", "train"), "test/train", "train", "test"),
        (CIFAR, ("apple",), "test/train", "train", "test"),
        (CIFAR, ("apple",), "test/apple", "apple", "test"),
        (VEHICLES, (), "train", "train", ""),
        (VEHICLES, ("train", "car"), "train", "train", ""),
        (("train",), ("train", "car"), "train", "train", ""),
        (NESTED, ("train", "car"), "car/train", "car", "train"),
        (NESTED, ("train", "car"), "train/train", "train", "train"),
        (NESTED, ("train", "car"), "train/test", "train", "test"),
        (EMOTIONS, ("happy", "sad"), "happy/valid", "happy", "val"),
        (EMOTIONS, ("other",), "sad/train", "sad", "train"),
        ((*EMOTIONS, "happy/more"), ("happy", "sad"), "happy/train", "happy", "train"),
        (FORMS, ("valid", "invalid"), "val/valid", "valid", "val"),
        (FORMS, (), "train/valid", "valid", "train"),
        (("train", "test"), (), "train", ".", "train"),
        (("cafe\u0301/val",), ("caf\u00e9", "val"), "cafe\u0301/val", "cafe\u0301", "val"),
    ],
)  # fmt: skip
def test_a_name_that_could_be_a_subset_or_a_class_is_decided_by_the_whole_layout(
    folders, classes, folder, theirs, subset
):
    layout = Layout(map(PurePosixPath, folders), classes)
    place = layout.place(PurePosixPath(folder) / "1.png")
    assert (place.theirs, place.subset) == (theirs, subset)


def test_composed_and_decomposed_names_are_one():
    assert same_text("cafe\u0301") == same_text("caf\u00e9") == "caf\u00e9"


@pytest.mark.parametrize(
    ("folders", "folder", "theirs", "subset", "below"),
    [
        (("train/cat", "train/dog", "test/cat"), "train/cat", "cat", "train", ""),
        # Folders with pictures of their own beside other names are classes of vehicles.
        (("train", "test/old", "car"), "train", "train", "", ""),
        (("train/old", "test/old", "car"), "train/old", "old", "train", ""),
        (("train/cat/test", "train/dog", "val/dog"), "train/cat/test", "cat", "train", "test"),
        (("train/all/cat", "train/all/dog", "test/all/cat"), "train/all/cat", "cat", "train", ""),
        (("train/all/cat", "test/all/dog", "logos"), "train/all/cat", "cat", "train", ""),
        # Loose pictures beside the class folders have no class.
        (("set", "set/cat", "set/dog"), "set/cat", "cat", "", ""),
        (("set", "set/cat", "set/dog"), "set", ".", "", ""),
        (("cat/test", "dog/ann"), "cat/test", "cat", "test", ""),
        (("cat/test", "dog/ann"), "dog/ann", "dog", "", "ann"),
    ],
)
def test_unknown_classes_are_the_outermost_folders_that_are_no_subsets(
    folders, folder, theirs, subset, below
):
    layout = NestedLayout(map(PurePosixPath, folders), lambda _: True)
    place = layout.place(PurePosixPath(folder) / "1.png")
    assert (place.theirs, place.subset, place.below) == (theirs, subset, below)


@pytest.mark.parametrize(
    ("texts", "subset"),
    [
        (("train", "Training", " TRAIN "), "train"),
        (("val", "valid", "Validation", "dev", "PublicTest"), "val"),
        (("test", "testing", "PrivateTest"), "test"),
        (("", "extra", "train2", "tests"), ""),
    ],
)
def test_texts_of_a_column_name_a_split(texts, subset):
    assert {subset_of(text) for text in texts} == {subset}


def test_names_are_equal_but_for_case_and_white_space():
    assert (
        folded("  Cafe\u0301  CR\u00c8ME ")
        == folded("caf\u00e9 cr\u00e8me")
        == "caf\u00e9 cr\u00e8me"
    )
    assert folded("Stra\u00dfe") == folded("STRASSE")
    assert folded("hot dog") != folded("hotdog")


def test_the_common_folder_may_be_one_of_them():
    folders = {PurePosixPath(text) for text in ("a/b/x", "a/b", "a/b/y/z")}
    assert common_folder(folders) == PurePosixPath("a/b")
    assert common_folder({*folders, PurePosixPath("a/bc")}) == PurePosixPath("a")
    assert common_folder({PurePosixPath("a/b")}) == PurePosixPath("a/b")
    assert common_folder(set()) == common_folder({PurePosixPath("a"), PurePosixPath("b")})


def test_the_nearest_folder_above_a_file_gives_its_subset():
    assert subset_above(PurePosixPath("train/new/valid/x.parquet")) == "val"
    assert subset_above(PurePosixPath("test/new/x.parquet")) == "test"
    assert subset_above(PurePosixPath("new/test")) == ""
