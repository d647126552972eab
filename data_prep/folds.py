"""Whether a dataset has enough pictures for so many folds."""

import numpy as np

from data_prep.reader import ImageDataset, folds_of
from fairsweep.errors import UserError


def check_folds(dataset: ImageDataset, count: int, repeats: int) -> None:
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
                "parting duplicates, or what is kept together; take fewer folds"
            )
