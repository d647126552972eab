"""Makes small datasets in memory whose classes a network can learn within a few epochs."""

import numpy as np

from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset


def make_dataset(
    *, train=96, val=32, side=16, seed=0, soft_labels=None, classes=("angry", "bored", "focused")
) -> ImageDataset:
    """Noise with a bright stripe; how far down the stripe is, is the class. Two folds."""
    rng = np.random.default_rng(seed)
    count = train + val
    labels = rng.integers(0, len(classes), count)
    pixels = rng.integers(0, 120, (count, side, side), dtype=np.uint8)
    height = side // len(classes)
    for picture, label in zip(pixels, labels, strict=True):
        picture[label * height : label * height + 2] += 80
    return ImageDataset(
        manifest=_manifest(pixels[:train], classes, (side, side)),
        image_ids=np.array([f"made/{row}" for row in range(count)]),
        pixels=pixels,
        labels=labels,
        splits=np.array(["train"] * train + ["val"] * val),
        folds=np.arange(count) % 2,
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
