import numpy as np
import pytest

from data_prep.splits import FOLDS, SHARES, split_dataset

CLASSES = ("angry", "bored", "focused", "neutral")


@pytest.fixture
def labels_and_groups():
    """3,000 pictures in four uneven classes; a third of them in groups of two to twenty."""
    generator = np.random.default_rng(0)
    labels = generator.choice(4, 3000, p=[0.4, 0.3, 0.2, 0.1])
    groups = np.arange(3000)
    start = 0
    while start < 1000:
        size = int(generator.integers(2, 21))
        groups[start : start + size] = start
        start += size
    order = generator.permutation(3000)
    return labels[order], groups[order]


@pytest.mark.parametrize("method", ["grouped", "random"])
def test_every_split_and_fold_gets_its_share_of_every_class(labels_and_groups, method):
    labels, groups = labels_and_groups
    splits, folds = split_dataset(labels, groups, classes=CLASSES, method=method, seed=0)
    for label in range(4):
        total = (labels == label).sum()
        for split, share in SHARES.items():
            assert ((splits == split) & (labels == label)).sum() == pytest.approx(
                share * total, abs=1
            )
        inside = ((splits != "test") & (labels == label)).sum()
        counts = np.bincount(folds[(folds >= 0) & (labels == label)], minlength=FOLDS)
        assert np.abs(counts - inside / FOLDS).max() <= 1
    np.testing.assert_array_equal(folds < 0, splits == "test")


def test_grouped_keeps_every_group_on_one_side(labels_and_groups):
    labels, groups = labels_and_groups
    splits, folds = split_dataset(labels, groups, classes=CLASSES, method="grouped", seed=0)
    for group in np.unique(groups):
        assert len(set(splits[groups == group])) == 1
        assert len(set(folds[groups == group])) == 1


def test_random_tears_groups_apart(labels_and_groups):
    labels, groups = labels_and_groups
    splits, _ = split_dataset(labels, groups, classes=CLASSES, method="random", seed=0)
    assert any(len(set(splits[groups == group])) > 1 for group in np.unique(groups))


@pytest.mark.parametrize("method", ["grouped", "random"])
def test_the_seed_decides(labels_and_groups, method):
    first, again, other = (
        split_dataset(*labels_and_groups, classes=CLASSES, method=method, seed=seed)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()
    assert (first[1] != other[1]).any()


def test_classes_with_too_few_pictures_are_named():
    labels = np.array([0] * 50 + [1] * 19 + [2] * 20)
    message = r"at least 20 pictures .* there are 19 of 'bored', 0 of 'neutral'; give more"
    with pytest.raises(ValueError, match=message):
        split_dataset(labels, np.arange(89), classes=CLASSES, method="grouped", seed=0)
