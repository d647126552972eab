"""The fingerprint of a dataset: a hash of everything that determines a training on it."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data_prep.manifest import IMAGES_FILE, MANIFEST_FILE, SCHEMA_VERSION
from data_prep.reader import ImageDataset
from fairsweep.errors import UserError


def content_hashes(pictures: npt.NDArray[np.uint8]) -> list[str]:
    """Return the SHA-256 of each of the n pictures, as hexadecimal digits."""
    return [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]


def fingerprint(
    *,
    classes: Sequence[str],
    image_ids: Sequence[str],
    pixels_shape: tuple[int, ...],
    hashes: Sequence[str],
    labels: npt.NDArray[np.integer],
    groups: npt.NDArray[np.int64],
    splits: npt.NDArray[np.str_],
    folds: npt.NDArray[np.int64],
    soft_labels: npt.NDArray[np.float32] | None,
    split_groups: npt.NDArray[np.int64] | None,
) -> str:
    """Hash everything that determines a training.

    Args:
        classes: Class names in order.
        image_ids: (n,) id of each picture.
        pixels_shape: Shape of the array of all pictures.
        hashes: (n,) hashes from `content_hashes`.
        labels: (n,) indices into ``classes``.
        groups: (n,) duplicate groups.
        splits: (n,) ``train``, ``val`` or ``test``.
        folds: (n,) folds, -1 for none.
        soft_labels: (n, classes) label distributions, if the source has votes.
        split_groups: (n,) what folds keep on one side beside duplicates, where that was asked for.
    """
    digest = hashlib.sha256(json.dumps([SCHEMA_VERSION, tuple(classes)]).encode())
    digest.update(repr(pixels_shape).encode())
    columns = (labels, groups, splits, folds)
    rows = zip(image_ids, hashes, *(column.tolist() for column in columns), strict=True)
    for row in rows:
        digest.update(repr(row).encode())
    if soft_labels is not None:
        digest.update(soft_labels.astype("<f4").tobytes())
    if split_groups is not None:
        digest.update(split_groups.astype("<i8").tobytes())
    return digest.hexdigest()


def check_content(dataset: ImageDataset) -> None:
    """Check a dataset's content against its fingerprint; takes 0.2 s for 35,000 small pictures.

    Raises:
        UserError: The files were changed, or belong to two datasets.
    """
    groups, hashes = dataset.duplicate_groups, dataset.checked_hashes
    assert groups is not None, "it was read from a file"
    found = fingerprint(
        classes=dataset.manifest.classes,
        image_ids=dataset.image_ids.tolist(),
        pixels_shape=dataset.pixels.shape,
        hashes=content_hashes(dataset.pixels) if hashes is None else hashes,
        labels=dataset.labels,
        groups=groups,
        splits=dataset.splits,
        folds=dataset.folds,
        soft_labels=dataset.soft_labels,
        split_groups=dataset.split_groups,
    )
    if found != dataset.manifest.fingerprint:
        raise UserError(
            f"{IMAGES_FILE} of the dataset {dataset.place} does not hold the pictures and labels "
            f"that its {MANIFEST_FILE} was written for (its content has fingerprint {found[:12]}…, "
            f"not {dataset.manifest.fingerprint[:12]}…); restore both files from a copy, or "
            "prepare the dataset again as before"
        )
