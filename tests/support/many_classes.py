"""Writes a dataset of many classes and a run of a few models on it, determined by a seed.

Classes have names, frequencies and colours of their own, and each is mostly confused with the next.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.reader import ImageDataset, read_dataset
from data_prep.rejections import Rejections
from data_prep.writer import LabelledImages, Recipe, write_dataset
from tests.support.run_factory import INFO, under, write_run_files
from tune.run.directory import PREDICTIONS_DIR, PROVENANCE_FILE
from tune.run.tables import predictions_table, write_table
from tune.run.trial import METRICS, Ending, Measurement, Status, Trial

SIDE = 32
EPOCHS = 10
CONFUSED = 0.5
"""Share of the mistakes that name the next class."""


def write_run_of_many_classes(
    run: Path, data: Path, *, classes: int, pictures: int, trials: int = 4, colour: bool = True
) -> Path:
    """Write a dataset of about ``pictures`` pictures, and a run of ``trials`` models on it."""
    rng = np.random.default_rng(classes)
    write_drawn_dataset(data, classes=classes, pictures=pictures, colour=colour)
    dataset = read_dataset(data)
    info = replace(
        INFO,
        searched=("kernel_size",),
        tied={},
        classes=dataset.manifest.classes,
        **under("none"),
        rungs=(),
    )
    made = [_trial(number, run, dataset, rng) for number in range(trials)]
    write_run_files(run, made, info, data)
    provenance = json.loads((run / PROVENANCE_FILE).read_text())
    provenance["dataset"]["fingerprint"] = dataset.manifest.fingerprint
    (run / PROVENANCE_FILE).write_text(json.dumps(provenance))
    return run


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


def _trial(number: int, run: Path, dataset: ImageDataset, rng: np.random.Generator) -> Trial:
    config = {
        "family": "resnet", "kernel_size": (3, 5)[number % 2], "blocks": 2, "channels": 8,
        "conv_depth": 1, "fc_layers": 1, "pool_size": 8, "learning_rate": 0.001,
        "weight_decay": 0.0001, "batch_size": 64, "epochs": EPOCHS, "seed": number // 2,
        "fold": None,
    }  # fmt: skip
    trial = Trial(
        id=f"{number:012x}",
        configuration_id=f"{number % 2:012x}",
        number=number,
        name=f"B8_N2_FC1_K{config['kernel_size']}",
        phase="search",
        replicate=number // 2,
        config=config,
        epochs=EPOCHS,
        devices=1.0,
    )
    trial.parameters, trial.host, trial.device = 50_000, "node-1", "cpu"
    trial.seconds = 2.0 * EPOCHS
    rows = dataset.rows("val")
    labels = dataset.labels[rows]
    classes = len(dataset.manifest.classes)
    probabilities = _probabilities(labels, classes, 0.5 + 0.02 * number, rng)
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    for epoch in range(1, EPOCHS + 1):
        now = accuracy * epoch / EPOCHS
        values = dict.fromkeys(METRICS, now) | {
            "val_loss": 5 - 4 * now,
            "train_loss": 5 - 4.5 * now,
        }
        values |= {"train_accuracy": now, "learning_rate": 0.001}
        values |= {"seconds": 2.0, "images_per_second": 1000.0}
        trial.measurements.append(Measurement(epoch=epoch, values=values))
    trial.ending = Ending(status=Status.COMPLETED, reason="")
    table = predictions_table(
        image_ids=dataset.image_ids[rows].tolist(),
        labels=labels,
        probabilities=probabilities,
        split="val",
        epoch=EPOCHS,
        classes=dataset.manifest.classes,
    )
    write_table(table, run / PREDICTIONS_DIR / f"{trial.id}.parquet")
    return trial


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
