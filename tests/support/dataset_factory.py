"""A small labelled dataset in which every order and size differs, so that mix-ups are visible."""

import hashlib

import numpy as np
import pyarrow as pa

from data_prep.rejections import Rejections
from data_prep.writer import LabelledImages, Recipe, write_dataset

CLASSES = ("neutral", "angry", "focused")
"""Not sorted by name or by count."""
COUNTS = (24, 40, 31)
SHAPE = (6, 9)
"""Height and width, which differ."""
SEED = 3


def labelled_images(**changes) -> LabelledImages:
    """95 pictures of noise from two sources, with label distributions and two columns."""
    generator = np.random.default_rng(5)
    labels = generator.permutation(np.repeat(np.arange(3), COUNTS))
    count = len(labels)
    sources = np.where(generator.random(count) < 0.3, "second", "first").tolist()
    soft = generator.dirichlet(np.ones(3), count).astype(np.float32)
    ages = [None if row % 4 == 0 else ("child", "adult")[row % 2] for row in range(count)]
    return LabelledImages(
        **{
            "classes": CLASSES,
            "image_ids": [f"{source}/{900 - row}" for row, source in enumerate(sources)],
            "sources": sources,
            "pixels": generator.integers(0, 256, (count, *SHAPE), dtype=np.uint8),
            "labels": labels,
            "soft_labels": soft,
            "columns": {
                "age": pa.array(ages, pa.string()),
                "votes_anger": pa.array(np.arange(count) % 11, pa.int8()),
            },
            **changes,
        }
    )


def duplicate_groups_of_pairs() -> np.ndarray:
    """(95,) groups: rows 10 and 90, 11 and 91, …, 14 and 94; numbered from the last row."""
    groups = np.arange(95)[::-1].copy()
    groups[90:] = groups[10:15]
    return np.unique(groups, return_inverse=True)[1]


def write_labelled(out, images=None, *, recipe=None, groups=None, rejections=None, details=None):
    """Write the dataset directory; ``groups`` defaults to `duplicate_groups_of_pairs`."""
    return write_dataset(
        out,
        labelled_images() if images is None else images,
        Recipe(**{"name": "my faces", "label_rule": "by hand", "seed": SEED, **(recipe or {})}),
        steps=({"step": "look", "removed": 2, "left": 95},),
        details={"note": 1} if details is None else details,
        rejections=rejections or Rejections(),
        groups=duplicate_groups_of_pairs() if groups is None else groups,
    )


def sha256_of(pixels: np.ndarray) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()
