from dataclasses import replace

import numpy as np
import pytest

from data_prep.folds import check_folds, folds_of
from tests.picture_factory import make_dataset


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


def test_folds_depend_on_the_dataset_and_the_repeat_and_nothing_else():
    assert np.array_equal(folds_of(dataset(), 5, 0), folds_of(dataset(), 5, 0))
    assert not np.array_equal(folds_of(dataset(), 5, 0), folds_of(dataset(), 5, 1))


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
    fewest = min(np.bincount(dataset().labels[:180]))
    check_folds(dataset(groups=0), int(fewest), 1)
    with pytest.raises(ValueError, match=rf"61 folds need .* hold {fewest} of \w+; take fewer"):
        check_folds(dataset(), 61, 1)


def test_duplicates_that_leave_a_fold_empty_are_told():
    made = replace(dataset(), duplicate_groups=np.zeros(200, dtype=np.int64))
    with pytest.raises(ValueError, match="cannot be dealt into 5 folds without parting"):
        check_folds(made, 5, 1)
