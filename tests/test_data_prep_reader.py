from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.folds import folds_of
from data_prep.reader import read_dataset
from fairsweep.errors import MissingFileError
from tests.support.dataset_factory import CLASSES, SHAPE, labelled_images, write_labelled


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Pictures that are wider than high, classes that are not sorted, cells that are empty."""
    out = tmp_path_factory.mktemp("reader") / "my set"
    write_labelled(out)
    return out


@pytest.fixture(scope="module")
def dataset(directory):
    return read_dataset(directory)


@pytest.fixture(scope="module")
def table(directory):
    return pq.read_table(directory / "images.parquet").to_pylist()


def test_arrays_hold_what_the_file_holds(dataset, table):
    assert dataset.image_ids.tolist() == [row["image_id"] for row in table]
    assert dataset.pixels.shape == (95, *SHAPE)
    assert [picture.tobytes() for picture in dataset.pixels] == [row["pixels"] for row in table]
    assert [CLASSES[label] for label in dataset.labels] == [row["label"] for row in table]
    assert dataset.splits.tolist() == [row["split"] for row in table]
    assert dataset.folds.tolist() == [-1 if row["fold"] is None else row["fold"] for row in table]
    assert dataset.soft_labels.tolist() == [row["soft_label"] for row in table]
    assert dataset.duplicate_groups.tolist() == [row["duplicate_group"] for row in table]


def test_labels_are_places_in_the_order_of_the_manifest(dataset):
    np.testing.assert_array_equal(dataset.labels, labelled_images().labels)
    assert dataset.manifest.classes == CLASSES != tuple(sorted(CLASSES))


def test_text_columns_group_pictures_and_empty_cells_are_empty_text(dataset, table):
    assert set(dataset.columns) == {"source", "label", "age"}
    for name, cells in dataset.columns.items():
        assert cells.tolist() == [row[name] or "" for row in table]
    assert "" in dataset.columns["age"].tolist()


def test_a_dataset_without_votes_has_no_label_distributions(tmp_path):
    write_labelled(tmp_path / "out", labelled_images(soft_labels=None))
    assert read_dataset(tmp_path / "out").soft_labels is None


def test_a_file_of_several_row_groups_is_read_whole(tmp_path, directory, dataset):
    for name in ("manifest.json", "images.parquet"):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    table = pq.read_table(directory / "images.parquet")
    pq.write_table(table, tmp_path / "images.parquet", row_group_size=20)
    again = read_dataset(tmp_path)
    np.testing.assert_array_equal(again.pixels, dataset.pixels)
    np.testing.assert_array_equal(again.soft_labels, dataset.soft_labels)


def test_mean_and_deviation_are_those_of_the_training_pictures(dataset):
    train = dataset.pixels[dataset.rows("train")] / 255
    assert dataset.manifest.mean == pytest.approx(train.mean(), abs=1e-9)
    assert dataset.manifest.std == pytest.approx(train.std(), abs=1e-9)


def test_the_rows_of_a_split_are_those_of_that_name_in_order(dataset, table):
    for split in ("train", "val", "test"):
        wanted = [number for number, row in enumerate(table) if row["split"] == split]
        assert dataset.rows(split).tolist() == wanted


def test_a_fold_is_val_and_the_others_train(dataset, table):
    for fold in range(10):
        folds = [row["fold"] for row in table]
        val = [row for row, of in enumerate(folds) if of == fold]
        train = [row for row, of in enumerate(folds) if of not in (fold, None)]
        assert dataset.rows("val", fold).tolist() == val
        assert dataset.rows("train", fold).tolist() == train
    np.testing.assert_array_equal(dataset.rows("test", 3), dataset.rows("test"))


@pytest.mark.parametrize(("fold", "folds"), [(0, 4), (3, 4), (6, 4), (13, None), (13, 10)])
def test_folds_count_on_through_the_repeats(dataset, fold, folds):
    count = folds or 10
    wanted = np.flatnonzero(folds_of(dataset, count, fold // count) == fold % count)
    np.testing.assert_array_equal(dataset.rows("val", fold, folds), wanted)


@pytest.mark.parametrize(
    ("split", "fold", "message"),
    [
        ("training", None, "split must be one of train, val, test, but got 'training'"),
        ("training", 0, "split must be one of train, val, test, but got 'training'"),
        ("val", -1, "fold must be one of 0, 1, …, but got -1"),
    ],
)
def test_a_split_or_fold_that_does_not_exist_is_refused(dataset, split, fold, message):
    with pytest.raises(ValueError, match=message):
        dataset.rows(split, fold)


def test_a_fold_that_nobody_dealt_is_refused(dataset):
    few = replace(dataset, folds=np.where(dataset.folds > 6, 0, dataset.folds))
    assert len(few.rows("val", 6))
    with pytest.raises(ValueError, match="fold must be one of 0…6, but got 7"):
        few.rows("val", 7)


def test_pixels_can_be_written_to(dataset):
    assert dataset.pixels.flags.writeable


def test_columns_that_are_joined_replace_those_of_the_same_name(dataset):
    joined = dataset.joined({"age": pa.array(["old"] * 94 + [None]), "new": pa.array(["x"] * 95)})
    assert joined.columns["age"].tolist() == ["old"] * 94 + [""]
    assert joined.columns["new"].tolist() == ["x"] * 95
    np.testing.assert_array_equal(joined.columns["source"], dataset.columns["source"])
    assert "new" not in dataset.columns


def test_a_dataset_without_its_file_of_pictures_is_refused_as_one_that_is_missing(tmp_path):
    write_labelled(tmp_path / "set")
    (tmp_path / "set" / "images.parquet").unlink()
    with pytest.raises(MissingFileError, match=r"images\.parquet is missing; restore it and"):
        read_dataset(tmp_path / "set")
