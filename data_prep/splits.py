"""Splits a dataset into train, val and test, and train and val into ten folds."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from data_prep.layout import folded
from data_prep.manifest import FOLDS
from fairsweep.errors import UserError

SplitMethod = Literal["grouped", "random", "given"]
SPLIT_METHODS: tuple[str, ...] = get_args(SplitMethod)

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
MIN_PER_CLASS = 20
"""Minimum pictures per class, so that every split and fold gets some."""
SHOWN = 10
"""Most classes that a message lists."""

GivenSplits = npt.NDArray[np.str_]
Labels = npt.NDArray[np.integer]
Rows = npt.NDArray[np.int64]


def split_dataset(
    labels: Labels,
    groups: Rows,
    *,
    classes: Sequence[str],
    method: SplitMethod,
    seed: int,
    given: GivenSplits | None = None,
    min_per_class: int = MIN_PER_CLASS,
) -> tuple[npt.NDArray[np.str_], Rows]:
    """Split 70/15/15 and into ten folds, stratified by class.

    Args:
        labels: (n,) index of each picture's class in ``classes``.
        groups: (n,) duplicate group of each picture, numbered from 0.
        classes: Names of the classes.
        method: ``grouped`` keeps each duplicate group in one split and fold; ``random`` ignores
            groups, as did the study that relabelled FER2013 to four classes; ``given`` keeps the
            source's own split, and takes a missing val or test from train in the usual ratio.
        seed: Seed of the split and the folds.
        given: (n,) ``train``, ``val`` or ``test`` of each picture, for the method ``given``.
        min_per_class: Pictures that each class must have.

    Returns:
        (n,) split names, and (n,) folds 0 to 9 over train and val, -1 in test.

    Raises:
        UserError: A class has too few pictures.
    """
    sizes = np.bincount(labels, minlength=len(classes)).tolist()
    counts = dict(zip(classes, sizes, strict=True))
    too_few = [name for name, n in counts.items() if n < min_per_class]
    if too_few:
        few = [f"{counts[name]} of {name!r}" for name in too_few[:SHOWN]]
        few += [f"{len(too_few) - SHOWN:,} more such classes"] * (len(too_few) > SHOWN)
        raise UserError(
            f"every class needs at least {min_per_class} pictures to be split, but there are "
            f"{', '.join(few)}; give more pictures, leave the class out, or lower min_per_class "
            f"(images, folders){_other_spellings(too_few, classes)}"
        )
    if method == "random":
        return _random_splits(labels, seed)
    generator = np.random.default_rng(seed)
    if method == "given":
        assert given is not None, "the source has a split"
        splits = _completed(given, labels, groups, generator)
    else:
        parts = deal(labels, groups, np.array(list(SHARES.values())), generator)
        splits = np.array(list(SHARES))[parts]
    folds = np.full(len(labels), -1, dtype=np.int64)
    inside = np.flatnonzero(splits != "test")
    folds[inside] = deal(labels[inside], groups[inside], np.full(FOLDS, 1 / FOLDS), generator)
    return splits, folds


def _other_spellings(names: Sequence[str], classes: Sequence[str]) -> str:
    """Say which of these classes are another spelling of a class; empty if none is."""
    forms = {folded(name) for name in names}
    of_form = {form: [name for name in classes if folded(name) == form] for form in sorted(forms)}
    alike = [" and ".join(map(repr, same)) for same in of_form.values() if len(same) > 1]
    if not alike:
        return ""
    return (
        f"; {', '.join(alike)} differ only in case or white space, and fold_case (images: "
        "--fold-case) merges them"
    )


def _random_splits(labels: Labels, seed: int) -> tuple[npt.NDArray[np.str_], Rows]:
    # Imported here because it takes a second, and few datasets are split so.
    from sklearn.model_selection import StratifiedKFold, train_test_split

    splits = np.full(len(labels), "train")
    _, rest = train_test_split(
        np.arange(len(labels)),
        test_size=SHARES["val"] + SHARES["test"],
        stratify=labels,
        random_state=seed,
    )
    val, test = train_test_split(
        rest, test_size=SHARES["test"] / (SHARES["val"] + SHARES["test"]), stratify=labels[rest],
        random_state=seed,
    )  # fmt: skip
    splits[val], splits[test] = "val", "test"
    folds = np.full(len(labels), -1, dtype=np.int64)
    inside = np.flatnonzero(splits != "test")
    dealer = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(dealer.split(inside, labels[inside])):
        folds[inside[rows]] = fold
    return splits, folds


def _completed(
    given: GivenSplits, labels: Labels, groups: Rows, generator: np.random.Generator
) -> GivenSplits:
    """Deal a val or test that nobody gave from train, in whole duplicate groups."""
    splits = given.astype("U5")
    for missing in ("val", "test"):
        if missing in given:
            continue
        train = np.flatnonzero(splits == "train")
        shares = np.array([SHARES["train"], SHARES[missing]])
        parts = deal(labels[train], groups[train], shares / shares.sum(), generator)
        splits[train[parts == 1]] = missing
    return splits


def deal(
    labels: Labels, groups: Rows, shares: npt.NDArray[np.float64], generator: np.random.Generator
) -> Rows:
    """Assign whole groups to parts so that every part gets its share of every class.

    Groups of several pictures are assigned first, the largest first, each to the part that lacks
    most of the group's classes. Single pictures then fill the gaps, so the shares are exact to one
    picture. (scikit-learn's StratifiedGroupKFold compares every single picture with every part,
    which takes 11 s for the 16,256 pictures of FER2013.)

    Args:
        labels: (n,) class of each picture.
        groups: (n,) group of each picture.
        shares: (parts,) share of each part; they add up to 1.
        generator: Draws the order of groups and pictures.

    Returns:
        (n,) part of each picture.
    """
    places = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(places)
    lacking = shares[:, None] * np.bincount(labels)
    parts = np.full(len(labels), -1, dtype=np.int64)
    shuffled = generator.permutation(len(sizes))
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    by_group = np.split(np.argsort(places, kind="stable"), np.cumsum(sizes)[:-1])
    for group in largest_first[: int((sizes > 1).sum())].tolist():
        rows = by_group[group]
        classes = np.bincount(labels[rows], minlength=lacking.shape[1])
        part = int(np.argmax(((lacking / shares[:, None]) * classes).sum(axis=1)))
        parts[rows] = part
        lacking[part] -= classes
    for label in range(lacking.shape[1]):
        singles = generator.permutation(np.flatnonzero((parts < 0) & (labels == label)))
        counts = _whole(lacking[:, label].clip(0), len(singles))
        parts[singles] = np.repeat(np.arange(len(shares)), counts)
    return parts


def _whole(wanted: npt.NDArray[np.float64], total: int) -> Rows:
    """Round to whole numbers that add up to ``total``, by largest remainder."""
    exact = wanted * total / max(wanted.sum(), 1e-12)
    whole: Rows = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole
