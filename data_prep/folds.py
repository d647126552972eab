"""Folds that a dataset's file does not hold: another number of them, or dealt once more."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data_prep.manifest import FOLDS
from fairsweep.errors import UserError

if TYPE_CHECKING:
    from data_prep.reader import ImageDataset


@lru_cache(maxsize=8)  # A trial asks again at each of its best epochs.
def folds_of(dataset: "ImageDataset", count: int, repeat: int) -> npt.NDArray[np.int64]:
    """Return (n,) the fold of each picture, 0 to ``count`` - 1 over train and val, -1 in test.

    Those of the file where it has as many; else dealt as they were: whole duplicate groups (unless
    the dataset was split without heed to them) and equal shares of every class. The same for equal
    datasets on every machine.

    Args:
        dataset: The pictures.
        count: How many folds.
        repeat: How often they were dealt before.
    """
    if count == FOLDS and repeat == 0:
        return dataset.folds
    # Importing scikit-learn takes a second, and few trainings need it.
    from data_prep.splits import deal

    inside = np.flatnonzero(dataset.folds >= 0)
    groups = dataset.duplicate_groups
    if groups is None or dataset.manifest.split_method == "random":
        groups = np.arange(len(dataset.labels))
    generator = np.random.default_rng([dataset.manifest.split_seed, count, repeat])
    folds = np.full(len(dataset.labels), -1, dtype=np.int64)
    folds[inside] = deal(
        dataset.labels[inside], groups[inside], np.full(count, 1 / count), generator
    )
    return folds


def check_folds(dataset: "ImageDataset", count: int, repeats: int) -> None:
    """Make sure that train and val have enough pictures for so many folds.

    Raises:
        UserError: A class has fewer pictures than there are folds, or duplicates leave one empty.
    """
    labels = dataset.labels[dataset.folds >= 0]
    counts = np.bincount(labels, minlength=len(dataset.manifest.classes))
    fewest, name = int(counts.min()), dataset.manifest.classes[int(counts.argmin())]
    if fewest < count:
        raise UserError(
            f"{count} folds need at least {count} pictures of every class, but train and val of "
            f"dataset {dataset.manifest.name} hold {fewest} of {name}; take fewer folds"
        )
    for repeat in range(repeats):
        if len(set(folds_of(dataset, count, repeat)[dataset.folds >= 0].tolist())) < count:
            raise UserError(
                f"dataset {dataset.manifest.name} cannot be dealt into {count} folds without "
                "parting duplicates; take fewer folds"
            )
