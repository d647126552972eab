"""Makes small in-memory datasets whose classes a network learns within a few epochs."""

import numpy as np

from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset

CLASSES = ("focused", "angry", "bored")
"""Not sorted by name, because a user may list them in any order."""
SHAPE = (12, 16)
"""Height and width, which differ so that tests notice when code confuses them."""


def make_dataset(
    *, train=96, val=32, shape=SHAPE, seed=0, soft_labels=None, classes=CLASSES
) -> ImageDataset:
    """Noise with a bright stripe whose vertical position encodes the class.

    Fold 1 holds every third picture, fold 0 the others.
    """
    rng = np.random.default_rng(seed)
    count = train + val
    labels = rng.integers(0, len(classes), count)
    pixels = rng.integers(0, 120, (count, *shape), dtype=np.uint8)
    height = shape[0] // len(classes)
    for picture, label in zip(pixels, labels, strict=True):
        picture[label * height : label * height + 2] += 80
    return ImageDataset(
        manifest=_manifest(pixels[:train], classes, shape),
        image_ids=np.array([f"made/{row}" for row in range(count)]),
        pixels=pixels,
        labels=labels,
        splits=np.array(["train"] * train + ["val"] * val),
        folds=(np.arange(count) % 3 == 1).astype(np.int64),
        soft_labels=soft_labels,
    )


def _manifest(train_pixels, classes, shape):
    return DatasetManifest(
        name="made",
        classes=classes,
        image_shape=shape,
        mean=float(train_pixels.mean() / 255),
        std=float(train_pixels.std() / 255),
        counts={},
        steps=(),
        label_rule="stripe",
        split_method="random",
        split_seed=0,
        duplicates={},
        details={},
        versions={},
        fingerprint="made",
    )
