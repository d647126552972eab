import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, train_test_split

from data_prep.splits import FOLDS, SHARES, deal, split_dataset

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
def test_one_seed_gives_one_split(labels_and_groups, method):
    first, again, other = (
        split_dataset(*labels_and_groups, classes=CLASSES, method=method, seed=seed)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()


def test_random_is_scikit_learns_stratified_split_and_folds_with_the_seed(labels_and_groups):
    """One seed for all three draws: split off 30 %, halve it, deal the rest into ten."""
    labels, groups = labels_and_groups
    splits, folds = split_dataset(labels, groups, classes=CLASSES, method="random", seed=11)
    rows = np.arange(3000)
    train, rest = train_test_split(rows, test_size=900, stratify=labels, random_state=11)
    val, test = train_test_split(rest, test_size=450, stratify=labels[rest], random_state=11)
    for name, wanted in (("train", train), ("val", val), ("test", test)):
        assert np.flatnonzero(splits == name).tolist() == sorted(wanted)
    inside = np.sort(np.r_[train, val])
    dealer = StratifiedKFold(10, shuffle=True, random_state=11)
    for fold, (_, places) in enumerate(dealer.split(inside, labels[inside])):
        assert np.flatnonzero(folds == fold).tolist() == inside[places].tolist()


def test_grouped_deals_splits_then_folds_from_one_generator(labels_and_groups):
    labels, groups = labels_and_groups
    splits, folds = split_dataset(labels, groups, classes=CLASSES, method="grouped", seed=11)
    generator = np.random.default_rng(11)
    parts = deal(labels, groups, np.array([0.70, 0.15, 0.15]), generator)
    assert splits.tolist() == np.array(["train", "val", "test"])[parts].tolist()
    inside = parts < 2
    tenths = deal(labels[inside], groups[inside], np.full(10, 0.1), generator)
    np.testing.assert_array_equal(folds[inside], tenths)


@pytest.mark.parametrize("missing", ["val", "test"])
def test_a_split_that_nobody_gave_is_dealt_from_train_and_then_folds(labels_and_groups, missing):
    """15 of 85 parts of train, in whole groups, and then the folds, from one generator."""
    labels, groups = labels_and_groups
    there = "test" if missing == "val" else "val"
    given = np.where(np.random.default_rng(5).random(3000) < 0.2, there, "train")
    groups[np.flatnonzero((labels == 0) & (given == "train"))[:300]] = 3000  # one large group
    splits, folds = split_dataset(
        labels, groups, classes=CLASSES, method="given", seed=11, given=given
    )
    generator, train = np.random.default_rng(11), np.flatnonzero(given == "train")
    parts = deal(labels[train], groups[train], np.array([0.70, 0.15]) / 0.85, generator)
    wanted = given.copy()
    wanted[train[parts == 1]] = missing
    assert splits.tolist() == wanted.tolist()
    inside = wanted != "test"
    tenths = deal(labels[inside], groups[inside], np.full(10, 0.1), generator)
    np.testing.assert_array_equal(folds[inside], tenths)
    assert (folds[~inside] == -1).all()


def test_what_is_dealt_is_that_of_earlier_releases():
    """Frozen: taken from the program once, so that a seed keeps giving the same split."""
    labels = np.tile([0, 1, 1], 8)
    groups = np.r_[np.arange(14), 2, 2, 5, 6, 7, 7, 7, 8, 9, 11]  # five of them are pairs
    parts = deal(labels, groups, np.array([0.6, 0.4]), np.random.default_rng(4))
    assert "".join(map(str, parts)) == "101001001000011110000100"


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (20, (14, 3, 3)),
        (21, (15, 3, 3)),  # 14.7, 3.15 and 3.15
        (23, (16, 4, 3)),  # 16.1, 3.45 and 3.45: of equal remainders the first is rounded up
        (25, (17, 4, 4)),  # 17.5, 3.75 and 3.75: the largest remainders are rounded up
    ],
)
def test_shares_are_rounded_by_the_largest_remainder(count, wanted):
    labels, shares = np.zeros(count, dtype=int), np.array([0.70, 0.15, 0.15])
    parts = deal(labels, np.arange(count), shares, np.random.default_rng(0))
    assert tuple(np.bincount(parts)) == wanted


def test_groups_of_one_size_are_dealt_in_the_order_of_the_shuffle():
    """Four pairs of one class go to two equal parts in turn; of equal parts the first is taken."""
    groups = np.repeat(np.arange(4), 2)
    for seed in range(4):
        parts = deal(np.zeros(8, dtype=int), groups, np.full(2, 0.5), np.random.default_rng(seed))
        order = np.random.default_rng(seed).permutation(4)
        assert parts[::2][order].tolist() == [0, 1, 0, 1]


def test_the_largest_group_goes_first_to_the_part_that_lacks_most():
    """Ten, then six, then two pairs: 10 to the first part, 6 to the second, which lacks most."""
    groups = np.repeat(np.arange(6), [2, 6, 2, 10, 2, 2])
    for seed in range(5):
        labels = np.zeros(len(groups), dtype=int)
        parts = deal(labels, groups, np.array([0.5, 0.5]), np.random.default_rng(seed))
        of = {group: set(parts[groups == group].tolist()) for group in range(6)}
        assert of[3] == {0}
        assert of[1] == {1}
        assert np.bincount(parts).tolist() == [12, 12]


def test_a_group_goes_where_its_own_classes_are_lacking():
    """A pair of class 1 goes where most of class 1 is lacking, as a share of the part's size."""
    labels = np.array([0] * 12 + [1] * 8)
    groups = np.r_[np.zeros(10), 1, 2, np.full(4, 3), np.full(2, 4), np.full(2, 5)].astype(int)
    parts = deal(labels, groups, np.array([0.5, 0.5]), np.random.default_rng(0))
    assert set(parts[:10]) == {0}  # ten of class 0 fill the first part's share of it
    assert set(parts[10:12]) == {1}
    assert np.bincount(parts[12:]).tolist() == [4, 4]


def test_classes_with_too_few_pictures_are_named():
    labels = np.array([0] * 50 + [1] * 19 + [2] * 20)
    message = r"at least 20 pictures .* there are 19 of 'bored', 0 of 'neutral'; give more"
    with pytest.raises(ValueError, match=message):
        split_dataset(labels, np.arange(89), classes=CLASSES, method="grouped", seed=0)


def test_twenty_pictures_of_a_class_are_enough():
    labels = np.repeat(np.arange(4), 20)
    splits, folds = split_dataset(labels, np.arange(80), classes=CLASSES, method="grouped", seed=0)
    for name, count in (("train", 14), ("val", 3), ("test", 3)):
        assert np.bincount(labels[splits == name]).tolist() == [count] * 4
    assert set(folds.tolist()) == set(range(-1, 10))


def test_another_spelling_of_a_class_with_too_few_pictures_is_named():
    labels = np.repeat([0, 1, 2], [30, 3, 30])
    told = r"there are 3 of 'CAT'; .*; 'Cat' and 'CAT' differ only in case or white space"
    with pytest.raises(ValueError, match=told):
        split_dataset(
            labels, np.arange(63), classes=("Cat", "CAT", "dog"), method="grouped", seed=0
        )


def test_of_many_classes_with_too_few_pictures_some_are_named():
    labels = np.repeat(np.arange(14), [30, 30] + [3] * 12)
    names = [f"c{place}" for place in range(14)]
    with pytest.raises(ValueError, match="3 of 'c11', 2 more such classes; give more") as refused:
        split_dataset(labels, np.arange(len(labels)), classes=names, method="grouped", seed=0)
    assert "c12" not in str(refused.value)
    with pytest.raises(ValueError, match="3 of 'c10', 3 of 'c11'; give more"):
        split_dataset(labels[:90], np.arange(90), classes=names[:12], method="grouped", seed=0)
    assert "differ only" not in str(refused.value)
