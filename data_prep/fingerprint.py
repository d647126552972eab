"""The fingerprint of a dataset: a hash of all that decides a training on it."""

import hashlib
import json
from collections.abc import Iterable, Sequence

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
    shape: tuple[int, ...],
    rows: Iterable[tuple[str, str, int, int, str, int]],
    soft_labels: npt.NDArray[np.float32] | None,
) -> str:
    """Hash all that decides a training.

    Args:
        classes: Class names in order.
        shape: Shape of the array of all pictures.
        rows: Of each picture: id, content hash, label, duplicate group, split, fold (-1 for none).
        soft_labels: (n, classes) label distributions, where the source has votes.
    """
    digest = hashlib.sha256(json.dumps([SCHEMA_VERSION, tuple(classes)]).encode())
    digest.update(repr(shape).encode())
    for row in rows:
        digest.update(repr(row).encode())
    if soft_labels is not None:
        digest.update(soft_labels.astype("<f4").tobytes())
    return digest.hexdigest()


def check_content(dataset: ImageDataset) -> None:
    """Make sure that a dataset holds what its fingerprint says; 0.2 s for 35,000 small pictures.

    Raises:
        UserError: Its files were changed, or belong to two datasets.
    """
    groups = dataset.duplicate_groups
    assert groups is not None, "it was read from a file"
    found = fingerprint(
        classes=dataset.manifest.classes,
        shape=dataset.pixels.shape,
        rows=zip(
            dataset.image_ids.tolist(),
            content_hashes(dataset.pixels),
            dataset.labels.tolist(),
            groups.tolist(),
            dataset.splits.tolist(),
            dataset.folds.tolist(),
            strict=True,
        ),
        soft_labels=dataset.soft_labels,
    )
    if found != dataset.manifest.fingerprint:
        raise UserError(
            f"{IMAGES_FILE} of the dataset {dataset.place} does not hold the pictures and labels "
            f"that its {MANIFEST_FILE} was written for (its content has fingerprint {found[:12]}…, "
            f"not {dataset.manifest.fingerprint[:12]}…); put both files back from a copy, or "
            "prepare the dataset again as it was"
        )
