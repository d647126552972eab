"""The training behind `benchmarks/curves.yaml`: few pictures, whole curves, two judging halves."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.reader import ImageDataset, read_dataset
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import fit

TRAINING = 3_000
"""Pictures to train on."""
JUDGING = 6_000
"""Pictures to judge by: half of them choose, the other half counts."""


def train(
    *,
    channels: int,
    blocks: int,
    augmentation: str,
    learning_rate: float,
    weight_decay: float,
    image_size: int,
    epochs: int,
    seed: int,
    data: str,
    state: Mapping[str, Any] | None = None,
) -> Iterator[tuple[dict[str, float], dict[str, Any]]]:
    """Yield both halves' accuracies and the state after each epoch of a small residual network."""
    pictures = _pictures(data)
    config = TrainConfig.create(
        {
            "family": "resnet",
            "channels": channels,
            "blocks": blocks,
            "pool_size": 6,
            "fc_width": 64,
            "augmentation": augmentation,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "image_size": image_size,
            "epochs": epochs,
            "seed": seed,
        }
    )
    labels = pictures.source.labels[pictures.source.rows("val")]
    for result in fit(config, pictures, state=state):
        right = result.probabilities.argmax(axis=1) == labels
        halves = {"val_accuracy": right[::2].mean(), "counted_accuracy": right[1::2].mean()}
        yield {name: float(value) for name, value in halves.items()}, result.state()


@cache
def _pictures(data: str) -> DeviceDataset:
    return DeviceDataset.create(few_pictures(read_dataset(Path(data))))


def few_pictures(whole: ImageDataset) -> ImageDataset:
    """Return `TRAINING` pictures of the training split, and `JUDGING` others as the val split.

    The others are those of the val split and, as far as these are too few, of the training split;
    of these, none is a copy of a training picture. The test split is left out.
    """
    rng = np.random.default_rng(0)
    train_rows, val_rows = (rng.permutation(whole.rows(split)) for split in ("train", "val"))
    chosen, rest = train_rows[:TRAINING], train_rows[TRAINING:]
    groups = whole.split_groups if whole.split_groups is not None else whole.duplicate_groups
    if groups is not None:
        rest = rest[~np.isin(groups[rest], groups[chosen])]
    # A row's place decides which half it is in.
    rows = np.concatenate([chosen, np.concatenate([val_rows, rest])[:JUDGING]])
    return replace(
        whole,
        image_ids=whole.image_ids[rows],
        pixels=whole.pixels[rows],
        labels=whole.labels[rows],
        splits=np.array(["train"] * len(chosen) + ["val"] * (len(rows) - len(chosen))),
        folds=np.full(len(rows), -1),
        soft_labels=None if whole.soft_labels is None else whole.soft_labels[rows],
        duplicate_groups=None,
        split_groups=None,
        columns={},
        checked_hashes=None,
    )
