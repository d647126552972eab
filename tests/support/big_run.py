"""Makes a run with thousands of trials, for tests of large runs."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from models.config import TrainConfig
from tests.support.discs import CLASSES, write_dataset
from tests.support.played import Epoch, Play, make_run


def write_big_run(run: Path, *, trials: int, epochs: int, pictures: int = 2400) -> Path:
    """Make a random search with early stopping, whose dataset has been removed."""
    labels = np.random.default_rng(0).integers(0, len(CLASSES), pictures)
    spec = {
        "fixed": {"family": "resnet", "pool_size": 8, "epochs": epochs},
        "space": {
            "kernel_size": [3, 5, 7],
            "blocks": [2, 4, 8],
            "channels": [8, 16, 32],
            "conv_depth": [1, 2, 3],
            "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
            "weight_decay": {"low": 1e-6, "high": 1e-2, "log": True},
        },
        "searcher": {"name": "random", "samples": trials},
        "scheduler": {"name": "asha", "grace_period": 11},
    }
    play = Play(epochs=partial(_epochs, last=epochs), parameters=_parameters)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_dataset(data, tuple(labels.tolist()))
        return make_run(run, {"data": str(data), **spec}, play)


def _epochs(config: TrainConfig, labels: np.ndarray, last: int) -> Iterator[Epoch]:
    rng = np.random.default_rng(int(config.trial_id(""), 16))
    skill = 0.55 + 0.01 * (config.kernel_size == 5) + rng.normal(0, 0.02)
    skill -= 0.05 * abs(np.log10(config.learning_rate) + 2.7)
    for number in range(1, last + 1):
        reach = 1 - np.exp(-8 * number / last)
        accuracy = 0.25 + (skill - 0.25) * reach + rng.normal(0, 0.006)
        right = rng.random(len(labels)) < accuracy
        predicted = np.where(right, labels, (labels + 1) % len(CLASSES))
        probabilities = np.full((len(labels), len(CLASSES)), 0.1, np.float32)
        probabilities[np.arange(len(labels)), predicted] = 0.7
        values = {
            "val_loss": 1.9 - 1.5 * accuracy,
            "train_loss": 1.8 - 1.7 * accuracy,
            "train_accuracy": accuracy + 0.05,
            "learning_rate": config.learning_rate,
            "seconds": 2.0,
            "images_per_second": 1000.0,
        }
        yield Epoch(probabilities=probabilities, values=values)


def _parameters(config: TrainConfig) -> int:
    return 40_000 + 9_000 * config.blocks * config.channels
