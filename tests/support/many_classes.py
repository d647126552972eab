"""Makes a dataset of many classes and a run of a few models on it.

Classes have names, frequencies and colours of their own, and each is mostly confused with the next.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.rejections import Rejections
from data_prep.writer import LabelledImages, Recipe, write_dataset
from models.config import TrainConfig
from tests.support.played import Epoch, Play, make_run

SIDE = 32
EPOCHS = 10
CONFUSED = 0.5
"""Share of the mistakes that name the next class."""


def write_run_of_many_classes(
    run: Path, data: Path, *, classes: int, pictures: int, trials: int = 4, colour: bool = True
) -> Path:
    """Make a dataset of about ``pictures`` pictures, and a run of ``trials`` models on it."""
    write_drawn_dataset(data, classes=classes, pictures=pictures, colour=colour)
    spec = {
        "data": str(data),
        "fixed": {
            "family": "resnet",
            "blocks": 2,
            "channels": 8,
            "conv_depth": 1,
            "pool_size": 8,
            "epochs": EPOCHS,
        },
        "space": {"kernel_size": [3, 5]},
        "replicates": trials // 2,
    }
    play = Play(epochs=partial(_epochs, classes=classes), parameters=lambda _config: 50_000)
    return make_run(run, spec, play)


def write_drawn_dataset(out: Path, *, classes: int, pictures: int, colour: bool) -> None:
    """Write pictures of a disc on a ground, whose colours and size depend on the class."""
    rng = np.random.default_rng(classes)
    share = rng.uniform(0.4, 1.6, classes)
    counts = np.maximum(20, share * pictures / share.sum()).round().astype(int)
    labels = rng.permutation(np.repeat(np.arange(classes), counts))
    ground, disc = rng.uniform(20, 235, (2, classes, 3 if colour else 1))
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    inside = (x**2 + y**2)[None] < (rng.uniform(5, 14, len(labels)) ** 2)[:, None, None]
    pixels = np.where(inside[..., None], disc[labels][:, None, None], ground[labels][:, None, None])
    pixels = pixels + rng.integers(-20, 21, pixels.shape)
    pixels = pixels.clip(0, 255).astype(np.uint8)
    images = LabelledImages(
        classes=tuple(f"{_NAMES[label % len(_NAMES)]} {label}" for label in range(classes)),
        image_ids=[f"drawn/{row:06d}" for row in range(len(labels))],
        sources=["drawn"] * len(labels),
        pixels=pixels if colour else pixels[..., 0],
        labels=labels,
    )
    write_dataset(
        out,
        images,
        Recipe(name=out.name, label_rule="drawn", near_duplicates=False),
        steps=({"step": "drawn", "removed": 0, "left": len(labels)},),
        details={},
        rejections=Rejections(),
        groups=np.arange(len(labels)),
    )


_NAMES = ("sunflower", "bee", "aquarium fish", "pickup truck", "man", "tulip", "lawn mower")


def _epochs(config: TrainConfig, labels: np.ndarray, classes: int) -> Iterator[Epoch]:
    """Yield a training that is better with a larger kernel, and with a larger seed."""
    rng = np.random.default_rng([config.seed, config.kernel_size])
    best = 0.5 + 0.02 * (config.kernel_size == 5) + 0.04 * config.seed
    for number in range(1, EPOCHS + 1):
        accuracy = best * number / EPOCHS
        values = {
            "val_loss": 5 - 4 * accuracy,
            "train_loss": 5 - 4.5 * accuracy,
            "train_accuracy": accuracy,
            "learning_rate": config.learning_rate,
            "seconds": 2.0,
            "images_per_second": 1000.0,
        }
        yield Epoch(probabilities=_probabilities(labels, classes, accuracy, rng), values=values)


def _probabilities(
    labels: np.ndarray, classes: int, accuracy: float, rng: np.random.Generator
) -> np.ndarray:
    count = len(labels)
    wrong = np.where(
        rng.random(count) < CONFUSED, (labels + 1) % classes, rng.integers(0, classes, count)
    )
    predicted = np.where(rng.random(count) < accuracy, labels, wrong)
    scores = rng.random((count, classes)) / classes
    scores[np.arange(count), predicted] = rng.uniform(0.3, 3, count)
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
