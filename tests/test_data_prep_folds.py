from dataclasses import replace

import numpy as np
import pytest

from data_prep.folds import check_folds, folds_of
from data_prep.splits import deal
from tests.support.picture_factory import make_dataset


def dataset(method="grouped", groups=60):
    made = make_dataset(train=150, val=50)
    folds = np.where(np.arange(200) < 180, np.arange(200) % 10, -1)
    return replace(
        made,
        folds=folds,
        splits=np.where(folds < 0, "test", "train"),
        duplicate_groups=np.r_[np.arange(groups).repeat(2), np.arange(groups, 200 - groups)],
        manifest=replace(made.manifest, split_method=method),
    )


def test_ten_folds_are_those_of_the_file():
    made = dataset()
    assert folds_of(made, 10, 0) is made.folds
    assert not np.array_equal(folds_of(made, 10, 1), made.folds)


@pytest.mark.parametrize(("count", "repeat"), [(2, 0), (5, 0), (5, 1), (10, 1)])
def test_other_folds_are_grouped_and_stratified_and_leave_test_alone(count, repeat):
    made = dataset()
    folds = folds_of(made, count, repeat)
    assert np.array_equal(folds < 0, made.splits == "test")
    inside = folds >= 0
    pairs = {*zip(made.duplicate_groups[inside].tolist(), folds[inside].tolist(), strict=True)}
    assert len(pairs) == len(set(made.duplicate_groups[inside].tolist()))
    for label in range(3):
        counts = np.bincount(folds[inside & (made.labels == label)], minlength=count)
        assert counts.max() - counts.min() <= 3  # pairs of one class cannot be parted


def test_folds_are_dealt_from_the_seed_of_the_split_the_count_and_the_repeat():
    """The convention that makes them equal on every machine, whatever was asked for before."""
    made = dataset()
    made = replace(made, manifest=replace(made.manifest, split_seed=7))
    inside = made.folds >= 0
    for count, repeat in ((5, 0), (5, 1), (4, 1), (10, 1)):
        generator = np.random.default_rng([7, count, repeat])
        dealt = deal(
            made.labels[inside], made.duplicate_groups[inside], np.full(count, 1 / count), generator
        )
        np.testing.assert_array_equal(folds_of(made, count, repeat)[inside], dealt)


def test_a_dataset_that_nobody_searched_for_duplicates_is_dealt_picture_by_picture():
    made = replace(dataset(), duplicate_groups=None)
    single = replace(made, duplicate_groups=np.arange(200))
    np.testing.assert_array_equal(folds_of(made, 5, 0), folds_of(single, 5, 0))


def test_a_dataset_split_without_heed_to_duplicates_is_dealt_so_too():
    made = dataset("random")
    folds = folds_of(made, 5, 0)
    inside = folds >= 0
    pairs = {*zip(made.duplicate_groups[inside].tolist(), folds[inside].tolist(), strict=True)}
    assert len(pairs) > len(set(made.duplicate_groups[inside].tolist()))


def test_rows_count_on_through_repeats():
    made = dataset()
    for fold in range(10):
        val, train = made.rows("val", fold, 5), made.rows("train", fold, 5)
        assert np.array_equal(val, np.flatnonzero(folds_of(made, 5, fold // 5) == fold % 5))
        assert sorted([*val, *train]) == list(range(180))


def test_too_many_folds_are_refused():
    """Only train and val count: the fewest there are of another class than the fewest in all."""
    made = dataset(groups=0)
    labels = np.r_[np.zeros(60), np.ones(70), np.full(50, 2), np.full(20, 2)].astype(int)
    made = replace(made, labels=labels, manifest=replace(made.manifest, classes=("z", "m", "a")))
    check_folds(made, 50, 1)
    message = (
        "^51 folds need at least 51 pictures of every class, but train and val of dataset made "
        "hold 50 of a; use fewer folds$"
    )
    with pytest.raises(ValueError, match=message):
        check_folds(made, 51, 1)


def test_duplicates_that_leave_a_fold_empty_are_told():
    made = replace(dataset(), duplicate_groups=np.zeros(200, dtype=np.int64))
    with pytest.raises(ValueError, match="cannot be split into 5 folds without separating"):
        check_folds(made, 5, 1)


def test_every_repeat_is_checked():
    """The file's own ten folds are full; those that are dealt once more are not."""
    made = replace(dataset(), duplicate_groups=np.zeros(200, dtype=np.int64))
    check_folds(made, 10, 1)
    with pytest.raises(ValueError, match="cannot be split into 10 folds without separating"):
        check_folds(made, 10, 2)
