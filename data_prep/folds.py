"""Checks that a dataset has enough pictures for a number of folds."""

import numpy as np

from data_prep.reader import ImageDataset, folds_of
from fairsweep.errors import UserError


def check_folds(dataset: ImageDataset, count: int, repeats: int) -> None:
    """Check that train and val have enough pictures for ``count`` folds.

    Raises:
        UserError: A class has fewer pictures than there are folds, or a fold would be empty because
            duplicates stay together.
    """
    labels = dataset.labels[dataset.folds >= 0]
    counts = np.bincount(labels, minlength=len(dataset.manifest.classes))
    fewest, name = int(counts.min()), dataset.manifest.classes[int(counts.argmin())]
    if fewest < count:
        raise UserError(
            f"{count} folds need at least {count} pictures of every class, but train and val of "
            f"dataset {dataset.manifest.name} hold {fewest} of {name}; use fewer folds"
        )
    for repeat in range(repeats):
        if len(set(folds_of(dataset, count, repeat)[dataset.folds >= 0].tolist())) < count:
            raise UserError(
                f"dataset {dataset.manifest.name} cannot be split into {count} folds without "
                "separating duplicates or pictures that stay together; use fewer folds"
            )
