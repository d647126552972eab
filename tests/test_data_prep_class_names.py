"""Classes are found where the user names none; spellings that could be one are told."""

import re

import pytest

from data_prep.class_names import alike, with_classes
from data_prep.folders import prepare_folders
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile
from tests.support.dataset_factory import write_labelled


def source(name="a", **more):
    return Source(name=name, path="x", **more)


def found(*labels, **more):
    return with_classes(SourcesFile(sources=(source(**more),)), list(labels)).classes


def test_classes_that_are_named_stay_in_their_order():
    file = SourcesFile(classes=("z", "a"), sources=(source(),))
    assert with_classes(file, [{"a": 1, "b": 2}]).classes == ("z", "a")


def test_what_a_map_makes_of_labels_is_sorted_and_what_it_leaves_out_is_no_class():
    mapping = {"1": "wut", "2": "angst", "3": "wut", "4": None}
    assert found({"1": 5, "2": 5, "3": 5, "4": 5, "5": 5}, map=mapping) == ("angst", "wut")


def test_pictures_without_a_label_or_a_folder_are_no_class():
    assert found({"": 9, ".": 9, "b": 1, "a": 1}) == ("a", "b")


def test_of_spellings_that_are_one_the_most_frequent_stands():
    labels = {"Happy": 3, "happy": 4, " HAPPY": 1, "sad": 2, "Sad": 2}
    assert found(labels, fold_case=True) == ("Sad", "happy")
    assert len(found(labels)) == 5


def test_one_source_that_folds_case_joins_the_spellings_of_all():
    file = SourcesFile(sources=(source("a"), source("b", fold_case=True)))
    assert with_classes(file, [{"Joy": 1, "sad": 1}, {"joy": 2}]).classes == ("joy", "sad")


def test_the_classes_of_several_sources_are_put_together():
    file = SourcesFile(sources=(source("a"), source("b")))
    assert with_classes(file, [{"x": 1}, {"y": 1, "x": 2}]).classes == ("x", "y")


def test_a_prepared_dataset_brings_its_classes(tmp_path):
    write_labelled(tmp_path / "mine")
    config = tmp_path / "sources.yaml"
    config.write_text(f"image_size: 8\nsources: [{{name: old, dataset: {tmp_path / 'mine'}}}]\n")
    manifest = prepare_folders(config=config, out=tmp_path / "out", near_duplicates=False)
    assert manifest.classes == ("angry", "focused", "neutral")
    assert manifest.images == 95


def test_a_limit_of_no_class_is_refused():
    with pytest.raises(BadInputError, match="limits the class 'c', but the classes found are a, b"):
        found({"a": 1, "b": 1}, limit={"c": 4})
    file = SourcesFile(sources=(source("one"), source("two", limit={"c": 4})))
    with pytest.raises(BadInputError, match="source 'two' limits the class 'c'"):
        with_classes(file, [{"a": 1}, {"b": 1}])


@pytest.mark.parametrize("label", ["cat|dog", "dog ; cat"])
def test_several_labels_in_one_are_refused_unless_they_are_no_class(label):
    counts = {"cat": 30, "dog": 30, label: 5}
    with pytest.raises(BadInputError, match=rf"the label '{re.escape(label)}' joins 2 others"):
        found(counts)
    assert found(counts, map={"cat": "cat", "dog": "dog"}) == ("cat", "dog")
    assert found({"cat|owl": 30, "dog": 30}) == ("cat|owl", "dog")


def test_labels_that_are_alike_are_told_unless_they_are_taken_for_one():
    labels = {"Happy": 1, "happy": 2, "sad": 3}
    assert len(list(alike(source(), labels, ("Happy", "happy", "sad")))) == 1
    assert list(alike(source(fold_case=True), labels, ("happy", "sad"))) == []
    (told,) = alike(source(), {"HAPPY": 3, "sad": 2}, ("happy", "sad"))
    assert told.startswith("labels 'HAPPY' and 'happy' of source 'a' differ only in case")
    (told,) = alike(source(map={"sad ": "x", "HAPPY": "y"}), {"HAPPY": 3, "sad": 2}, ("x", "y"))
    assert told.startswith("labels 'sad' and 'sad '")
