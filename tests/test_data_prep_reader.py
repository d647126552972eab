import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep.reader import read_dataset


@pytest.fixture(scope="module")
def dataset(synthetic_dataset):
    return read_dataset(synthetic_dataset)


def test_arrays_hold_what_the_file_holds(dataset, synthetic_dataset):
    row = pq.read_table(synthetic_dataset / "images.parquet").slice(17, 1).to_pylist()[0]
    assert dataset.image_ids[17] == row["image_id"]
    assert dataset.pixels[17].tobytes() == row["pixels"]
    assert dataset.manifest.classes[dataset.labels[17]] == row["label"]
    assert dataset.splits[17] == row["split"]
    assert dataset.soft_labels[17].tolist() == row["soft_label"]


def test_mean_and_deviation_are_those_of_the_training_pictures(dataset):
    train = dataset.pixels[dataset.rows("train")] / 255
    assert dataset.manifest.mean == pytest.approx(train.mean(), abs=1e-9)
    assert dataset.manifest.std == pytest.approx(train.std(), abs=1e-9)


def test_folds_divide_train_and_val(dataset):
    inside = np.sort(np.concatenate([dataset.rows("train"), dataset.rows("val")]))
    folds = [dataset.rows("val", fold) for fold in range(10)]
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), inside)
    for fold in range(10):
        together = np.sort(np.concatenate([dataset.rows("train", fold), folds[fold]]))
        np.testing.assert_array_equal(together, inside)
    np.testing.assert_array_equal(dataset.rows("test", 3), dataset.rows("test"))


@pytest.mark.parametrize(("split", "fold"), [("training", None), ("val", -1)])
def test_a_split_or_fold_that_does_not_exist_is_refused(dataset, split, fold):
    with pytest.raises(ValueError, match="must be one of"):
        dataset.rows(split, fold)


def test_pixels_can_be_written_to(dataset):
    assert dataset.pixels.flags.writeable
