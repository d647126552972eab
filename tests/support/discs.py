"""Writes the dataset of the runs that the tests of `analysis` make: discs of four classes."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from data_prep.rejections import Rejections
from data_prep.writer import LabelledImages, Recipe
from data_prep.writer import write_dataset as write_labelled

CLASSES = ("neutral", "bored", "angry", "focused")
"""Not sorted."""
IMAGE_SHAPE = (20, 28)
"""Height and width."""
SPLIT_SIZES = {"train": 280, "val": 400, "test": 60}
_FOLDER = tempfile.TemporaryDirectory(prefix="datasets-of-discs-")


def write_dataset(directory: Path, val_labels: tuple[int, ...] | None = None) -> None:
    """Write the dataset; ``val_labels`` are the labels of its validation pictures, if not drawn."""
    shutil.copytree(dataset(val_labels), directory)


@cache
def dataset(val_labels: tuple[int, ...] | None = None) -> Path:
    """Return a dataset that is written once in this process, and must not be changed."""
    rng = np.random.default_rng(6)
    drawn = rng.choice(len(CLASSES), SPLIT_SIZES["val"], p=(0.24, 0.24, 0.29, 0.23))
    labels = {
        "train": rng.integers(0, len(CLASSES), SPLIT_SIZES["train"]),
        "val": drawn if val_labels is None else np.array(val_labels),
        "test": rng.integers(0, len(CLASSES), SPLIT_SIZES["test"]),
    }
    every = np.concatenate(list(labels.values()))
    images = LabelledImages(
        classes=CLASSES,
        image_ids=[f"drawn/{row:05d}" for row in range(len(every))],
        sources=["drawn"] * len(every),
        pixels=np.stack([_disc(label, rng) for label in every]),
        labels=every,
        given=np.repeat(list(labels), [len(of) for of in labels.values()]),
    )
    out = Path(tempfile.mkdtemp(dir=_FOLDER.name)) / "drawn"
    write_labelled(
        out,
        images,
        Recipe(name="drawn", label_rule="drawn", split="given", near_duplicates=False),
        steps=({"step": "drawn", "removed": 0, "left": len(every)},),
        details={},
        rejections=Rejections(),
        groups=np.arange(len(every)),
    )
    return out


def _disc(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a disc whose size and brightness depend on the class."""
    height, width = IMAGE_SHAPE
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (5 + 1.5 * label) ** 2
    picture = rng.normal(70 + 12 * label, 18, IMAGE_SHAPE) + inside * (70 + 10 * label)
    return picture.clip(0, 255).astype(np.uint8)
