"""Makes a small, complete run and its dataset, determined by a seed.

Nothing has an order or size that code may rely on by accident: class names are not sorted, pictures
are not square, seeds do not start at 0, replicates, which are fused, use half a device, the trials
table is reversed, and every second trial lists its predicted pictures in reverse.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data_prep.reader import read_dataset
from models.config import TrainConfig
from tests.support.discs import CLASSES, SPLIT_SIZES, dataset, write_dataset
from tests.support.played import Epoch, Play, make_run
from tune.run.directory import TRIALS_FILE, predictions_file
from tune.run.events import TestOpened
from tune.run.ledger import Ledger
from tune.run.tables import TableInfo, read_table_info
from tune.sweep.schedulers.registry import SCHEDULERS
from tune.sweep.searchers.registry import SEARCHERS
from tune.sweep.sweep import Sweep

EPOCHS = 12
RUNGS = (3, 6)
FIRST_SEED = 7
"""Seed of the search; further replicates have the next seeds."""


def _part(blocks: list[int], depths: Mapping[int, list[int]]) -> dict[str, Any]:
    """Part of a search space; ``depths`` are those of each number of channels."""
    return {
        "blocks": blocks,
        "channels": {channels: {"conv_depth": of} for channels, of in depths.items()},
        "fc_layers": {"from": "blocks", "map": {2: 1, 4: 2}},
    }


_EVERY = [1, 2, 3]
SPACES: dict[int, dict[int, Any]] = {
    1: {3: _part([2], {8: [1]})},
    2: {3: _part([2], {8: [1]}), 5: _part([4], {16: [3]})},
    3: {3: _part([2], {8: [1, 3], 16: [2]})},
    4: {3: _part([2, 4], {8: [1]}), 5: _part([2, 4], {16: [3]})},
    12: {3: _part([2, 4], {8: [1, 3], 16: [2]}), 5: _part([2, 4], {8: [2], 16: [1, 3]})},
    20: {3: _part([2, 4], {8: _EVERY, 16: [1, 2]}), 5: _part([2, 4], {8: [1, 2], 16: _EVERY})},
    24: {3: _part([2, 4], {8: _EVERY, 16: _EVERY}), 5: _part([2, 4], {8: _EVERY, 16: _EVERY})},
}
"""Number of configurations → their kernel sizes, and the search space of each."""


def by(searcher: str) -> dict[str, Any]:
    """What the tables of a sweep with this searcher say of it."""
    kind = SEARCHERS[searcher]
    return {"searcher": searcher, "searcher_words": kind.words, "sampling": kind.sampling}


def under(scheduler: str) -> dict[str, Any]:
    """What the tables of a sweep with this scheduler say of it."""
    return {"scheduler": scheduler, "scheduler_words": SCHEDULERS[scheduler].words}


@dataclass(frozen=True, kw_only=True)
class Factory:
    """Settings of the run that `write` makes."""

    seed: int = 105
    """With this seed the incumbent is not an early trial, and its best epoch is not its last."""
    configurations: int = 12
    """One of the keys of `SPACES`."""
    replicates: int = 3
    """Trainings of each of the two finalists."""
    learning_rate: float = 0.001
    """Learning rate of every trial; a different one gives different configurations."""
    faults: bool = True
    """Whether one trial diverges and one fails."""
    early_stopping: bool = True
    skill: float | None = None
    """Final accuracy of every training; None for one that depends on the configuration."""
    stopped_after: int | None = None
    """Epochs after which each trial is stopped by hand."""
    val_labels: tuple[int, ...] | None = None
    """Labels of the validation pictures, instead of drawn ones."""

    def write(self, run: Path, data: Path | None = None) -> Path:
        """Make the run; its dataset is at ``data``, or has been removed if that is None."""
        if data is None:
            return Path(shutil.copytree(_made(self), run))
        write_dataset(data, self.val_labels)
        play = Play(epochs=self._epochs, parameters=_parameters)
        make_run(run, self.spec(data), play, on_step=self._stop_by_hand)
        _reverse_rows(run)
        return run

    def spec(self, data: Path) -> dict[str, Any]:
        """Return the sweep spec."""
        return {
            "data": str(data),
            "fixed": {
                "family": "resnet",
                "pool_size": 8,
                "learning_rate": self.learning_rate,
                "batch_size": 64,
                "epochs": EPOCHS,
            },
            "space": {"kernel_size": SPACES[self.configurations]},
            "scheduler": {
                "name": "asha",
                "grace_period": RUNGS[0] if self.early_stopping else EPOCHS,
                "reduction_factor": 2,
            },
            "replicates": self.replicates,
            "finalists": 2,
            "seed": FIRST_SEED,
            "retries": 0,
        }

    def _epochs(self, config: TrainConfig, labels: np.ndarray) -> Iterator[Epoch]:
        rng = np.random.default_rng([self.seed, int(config.trial_id(""), 16)])
        skill = _skill(config) + rng.normal(0, 0.009) if self.skill is None else self.skill
        place = (config.kernel_size, config.blocks, config.channels, config.conv_depth)
        if self.faults and place == FAILS:
            raise RuntimeError("a <worker> died & left nothing")
        for number in range(1, EPOCHS + 1):
            epoch = _epoch(labels, skill, number, rng)
            if self.faults and place == DIVERGES and number == 2:
                nan = {"train_loss": np.nan, "val_loss": np.nan}
                epoch = epoch._replace(values={**epoch.values, **nan})
            yield epoch

    def _stop_by_hand(self, sweep: Sweep) -> None:
        if self.stopped_after is None:
            return
        for trial in sweep.trials.values():
            if len(trial.measurements) == self.stopped_after - 1 and not trial.ended:
                sweep.stop_trial(trial.id, "stopped by hand")


def _reverse_rows(run: Path) -> None:
    """Reverse rows whose order no reader may rely on."""
    trials = pq.read_table(run / TRIALS_FILE).to_pylist()
    odd = [predictions_file(run, trial["trial_id"]) for trial in trials if trial["number"] % 2]
    for path in (run / TRIALS_FILE, *filter(Path.exists, odd)):
        table = pq.read_table(path)
        pq.write_table(table.take(list(range(len(table)))[::-1]), path)


DIVERGES, FAILS = (3, 2, 8, 3), (3, 2, 16, 2)
"""Kernel size, blocks, channels and convolution depth of the trial that diverges at its second
epoch, and of the one that fails at once."""

_FOLDER = tempfile.TemporaryDirectory(prefix="runs-of-the-factory-")


def default_info() -> TableInfo:
    """Return what the tables of the default run say of its sweep."""
    return read_table_info(pq.read_table(_made(Factory()) / TRIALS_FILE))


@cache
def _made(factory: Factory) -> Path:
    """Make a run once in this process; its dataset is gone."""
    folder = Path(tempfile.mkdtemp(dir=_FOLDER.name))
    run = factory.write(folder / "run", folder / "data")
    shutil.rmtree(folder / "data")
    return run


def open_test(run: Path, trial_id: str, accuracy: float = 0.5, *, times: int = 1) -> None:
    """Predict the test split with this accuracy, and write ``times`` openings to the ledger."""
    from tune.execution.predictions import write_predictions  # It imports torch.

    images = read_dataset(dataset())
    labels = images.labels[images.rows("test")]
    right = np.arange(len(labels)) < accuracy * len(labels)
    predicted = np.where(right, labels, (labels + 1) % len(CLASSES))
    write_predictions(
        run,
        trial_id,
        images,
        split="test",
        config=TrainConfig(),
        epoch=1,
        probabilities=np.eye(len(CLASSES), dtype=np.float32)[predicted],
    )
    with Ledger(run) as ledger:
        for _ in range(times):
            ledger.append(TestOpened(time=time(), trial=trial_id))


def _skill(config: TrainConfig) -> float:
    """Expected final accuracy of a configuration; deeper and wider is slightly better."""
    return (
        0.5
        + 0.02 * (config.kernel_size == 5)
        + 0.012 * (config.blocks - 2)
        + 0.002 * (config.channels - 8)
        + 0.01 * (config.conv_depth - 1)
    )


def _parameters(config: TrainConfig) -> int:
    return 40_000 + 9_000 * config.blocks * config.channels


def _epoch(labels: np.ndarray, skill: float, number: int, rng: np.random.Generator) -> Epoch:
    reach = 0.27 + (skill - 0.27) * (1 - np.exp(-number / 2.5)) + rng.normal(0, 0.006)
    values = {
        "val_loss": 1.9 - 1.5 * reach + 0.012 * max(0, number - 7),
        "train_loss": 1.38 * np.exp(-0.11 * number * skill),
        "train_accuracy": min(0.97, reach + 0.015 * number - 0.02),
        "learning_rate": 0.001,
        "seconds": 2.0,
        "images_per_second": SPLIT_SIZES["train"] / 1.8,
    }
    return Epoch(probabilities=_probabilities(labels, reach, rng), values=values)


def _probabilities(labels: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Return (n, classes) probabilities that classify a share ``reach`` of the pictures right."""
    confused = np.array([1, 0, 3, 2])
    wrong = np.where(
        rng.random(len(labels)) < 0.6, confused[labels], rng.integers(0, len(CLASSES), len(labels))
    )
    predicted = np.where(rng.random(len(labels)) < reach, labels, wrong)
    scores = rng.random((len(labels), len(CLASSES))) * 0.8
    scores[np.arange(len(labels)), predicted] = 1.0
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
