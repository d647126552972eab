"""Writes a small, complete run directory and its dataset, determined by a seed.

Nothing has an order or size that code may rely on by accident: class names are not sorted, pictures
are not square, seeds do not start at 0, trials use more or less than one device, the trials table
is reversed, and every second trial lists its predicted pictures in reverse.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.manifest import IMAGES_FILE, DatasetManifest
from tune.run.directory import (
    LEDGER_FILE,
    MEASUREMENTS_FILE,
    PREDICTIONS_DIR,
    PROVENANCE_FILE,
    SPEC_FILE,
    TRIALS_FILE,
)
from tune.run.tables import TableInfo, measurements_table, predictions_table, trials_table
from tune.run.trial import METRICS, Ending, Measurement, Status, Trial
from tune.sweep.schedulers import SCHEDULERS
from tune.sweep.searchers.registry import SEARCHERS

CLASSES = ("neutral", "bored", "angry", "focused")
IMAGE_SHAPE = (20, 28)
"""Height and width."""
SPLIT_SIZES = {"train": 280, "val": 400, "test": 60}
EPOCHS = 12
RUNGS = (3, 6)
FIRST_SEED = 7
"""Seed of the search; further replicates have the next seeds."""
TYPES: Mapping[str, pa.DataType] = {
    "family": pa.string(),
    "kernel_size": pa.int64(),
    "blocks": pa.int64(),
    "channels": pa.int64(),
    "conv_depth": pa.int64(),
    "fc_layers": pa.int64(),
    "pool_size": pa.int64(),
    "learning_rate": pa.float64(),
    "weight_decay": pa.float64(),
    "batch_size": pa.int64(),
    "epochs": pa.int64(),
    "seed": pa.int64(),
    "fold": pa.int64(),
}


def by(searcher: str) -> dict[str, Any]:
    """What the tables of a sweep with this searcher say of it."""
    kind = SEARCHERS[searcher]
    return {"searcher": searcher, "searcher_words": kind.words, "sampling": kind.sampling}


def under(scheduler: str) -> dict[str, Any]:
    """What the tables of a sweep with this scheduler say of it."""
    return {"scheduler": scheduler, "scheduler_words": SCHEDULERS[scheduler].words}


INFO = TableInfo(
    hyperparameters=tuple(TYPES),
    searched=("kernel_size", "blocks", "channels", "conv_depth", "fc_layers"),
    tied={"fc_layers": "blocks"},
    objective={"metric": "val_accuracy", "mode": "max", "at": "best"},
    classes=CLASSES,
    **by("grid"),
    **under("asha"),
    rungs=RUNGS,
)


@dataclass(frozen=True, kw_only=True)
class Factory:
    """Settings of the run that `write` writes."""

    seed: int = 6
    """With this seed the incumbent is not an early trial, and its best epoch is not its last."""
    info: TableInfo = INFO
    configurations: int = 12
    replicates: int = 3
    """Trainings of each of the two finalists."""
    learning_rate: float = 0.001
    """Learning rate of every trial; a different one gives different configurations."""
    faults: bool = True
    """Whether one trial diverges and one fails."""
    early_stopping: bool = True

    def write(self, run: Path, dataset: Path | None = None) -> Path:
        """Write the run directory, and the dataset if its path is given."""
        rng = np.random.default_rng(self.seed)
        labels = rng.choice(len(CLASSES), SPLIT_SIZES["val"], p=(0.24, 0.24, 0.29, 0.23))
        if dataset is not None:
            write_dataset(dataset, labels, self.seed)
        trials = self._search(rng, labels, run)
        completed = [t for t in trials if t.status is Status.COMPLETED]
        best = sorted(completed, key=lambda t: -_accuracy(t))[:2]
        for first in best:
            trials += self._further_replicates(first, len(trials), rng, labels, run)
        write_run_files(run, trials, self.info, dataset)
        return run

    def _search(self, rng: np.random.Generator, labels: np.ndarray, run: Path) -> list[Trial]:
        rate = {"learning_rate": self.learning_rate}
        configs = [{**config, **rate} for config in _configs(self.configurations)]
        trials = [_trial(config, number) for number, config in enumerate(configs)]
        skills = {t.id: _skill(t.config) + rng.normal(0, 0.008) for t in trials}
        last = {t.id: EPOCHS for t in trials}
        if self.early_stopping:
            order = sorted(trials, key=lambda t: -skills[t.id])
            last |= {t.id: RUNGS[0] for t in order[len(order) * 2 // 3 :]}
            last |= {t.id: RUNGS[1] for t in order[len(order) // 2 : len(order) * 2 // 3]}
        for trial in trials:
            train(trial, skills[trial.id], last[trial.id], rng, labels, run, self.info)
        if self.faults:
            _diverge(trials[1], run)
            _fail(trials[2], run)
        return trials

    def _further_replicates(
        self, first: Trial, number: int, rng: np.random.Generator, labels: np.ndarray, run: Path
    ) -> list[Trial]:
        trials = []
        for replicate in range(1, self.replicates):
            config = {**first.config, "seed": FIRST_SEED + replicate}
            trial = _trial(config, number + replicate - 1)
            trial = replace(trial, phase="finalist", replicate=replicate)
            skill = _skill(trial.config) + rng.normal(0, 0.01)
            train(trial, skill, EPOCHS, rng, labels, run, self.info)
            trials.append(trial)
        return trials


def train(
    trial: Trial,
    skill: float,
    last: int,
    rng: np.random.Generator,
    labels: np.ndarray,
    run: Path,
    info: TableInfo,
) -> None:
    """Give ``trial`` a learning curve up to epoch ``last`` and predictions of its best epoch."""
    probabilities_at = {}
    for epoch in range(1, last + 1):
        reach = 0.27 + (skill - 0.27) * (1 - np.exp(-epoch / 2.5)) + rng.normal(0, 0.006)
        probabilities = _probabilities(labels, reach, rng)
        values = _metrics(labels, probabilities, reach, skill, epoch)
        trial.measurements.append(Measurement(epoch=epoch, values=values))
        probabilities_at[epoch] = probabilities
    stopped = last < trial.epochs
    trial.ending = Ending(
        status=Status.EARLY_STOPPED if stopped else Status.COMPLETED,
        reason=f"below the best third at rung {last}" if stopped else "",
    )
    trial.parameters = 40_000 + 9_000 * trial.config["blocks"] * trial.config["channels"]
    trial.host, trial.device = "node-1", "cpu"
    trial.seconds = sum(m.values["seconds"] for m in trial.measurements)
    best = trial.best(info.objective["metric"], info.objective["mode"])
    assert best is not None
    _write_predictions(run, trial, labels, probabilities_at[best.epoch], best.epoch)


def write_run_files(
    run: Path, trials: list[Trial], info: TableInfo, dataset: Path | None = None
) -> None:
    """Write the tables, the spec, the provenance and the ledger."""
    run.mkdir(parents=True, exist_ok=True)
    table = trials_table([_row(t, info) for t in reversed(trials)], info, TYPES)
    pq.write_table(table, run / TRIALS_FILE)
    pq.write_table(measurements_table(trials), run / MEASUREMENTS_FILE)
    (run / SPEC_FILE).write_text("name: factory\nsearcher: {name: grid}\n")
    provenance = {
        "command": ["python", "-m", "tune", "run", "tune/specs/quick.yaml"],
        "git": {"commit": "0" * 40, "dirty": False},
        "dataset": {"path": str(dataset or run / "nowhere"), "fingerprint": "f" * 64},
        "versions": {"python": "3.11.9", "torch": "2.14.1"},
        "hardware": {"cpu": "two cores", "memory_bytes": 8 * 2**30},
    }
    (run / PROVENANCE_FILE).write_text(json.dumps(provenance))
    with (run / LEDGER_FILE).open("w") as ledger:
        ledger.writelines(json.dumps(event) + "\n" for event in _events(trials))


def _events(trials: list[Trial]) -> Iterator[dict[str, Any]]:
    """Yield the events of a sweep that trained one trial after another."""
    proposed = now = 1_790_000_000.0
    yield {"event": "sweep_started", "time": now}
    for trial in trials:
        yield {
            "event": "trial_proposed",
            "trial": trial.id,
            **{key: getattr(trial, key) for key in ("configuration_id", "number", "name")},
            **{key: getattr(trial, key) for key in ("phase", "replicate", "config", "epochs")},
            "proposal": trial.number,
            "time": proposed,
        }
        yield {"event": "trial_started", "trial": trial.id, "devices": trial.devices, "time": now}
        for measured in trial.measurements:
            now += measured.values["seconds"]
            values = {k: v if np.isfinite(v) else None for k, v in measured.values.items()}
            known = {"event": "measurement", "trial": trial.id, "epoch": measured.epoch}
            yield {**known, "values": values, "time": now}
        end = {"status": str(trial.status), "reason": trial.reason, "time": now}
        yield {"event": "trial_ended", "trial": trial.id, **end}
    yield {"event": "sweep_finished", "time": now}


def write_dataset(directory: Path, val_labels: np.ndarray, seed: int) -> None:
    """Write a dataset of discs whose size and brightness depend on the class."""
    rng = np.random.default_rng(seed)
    splits = np.repeat(list(SPLIT_SIZES), list(SPLIT_SIZES.values()))
    labels = rng.integers(0, len(CLASSES), len(splits))
    labels[splits == "val"] = val_labels
    pixels = [_disc(label, rng) for label in labels]
    directory.mkdir(parents=True)
    table = pa.table(
        {
            "image_id": [f"drawn/{i:05d}" for i in range(len(labels))],
            "source": ["drawn"] * len(labels),
            "split": splits.tolist(),
            "fold": pa.array([None if s == "test" else i % 10 for i, s in enumerate(splits)]),
            "label": [CLASSES[label] for label in labels],
            "pixels": pa.array(pixels, pa.binary(IMAGE_SHAPE[0] * IMAGE_SHAPE[1])),
            "content_hash": [hashlib.sha256(p).hexdigest() for p in pixels],
            "duplicate_group": list(range(len(labels))),
        }
    )
    pq.write_table(table, directory / IMAGES_FILE)
    _manifest(directory.name, splits, labels).write(directory)


def _manifest(name: str, splits: np.ndarray, labels: np.ndarray) -> DatasetManifest:
    counts = {
        split: {c: int(((splits == split) & (labels == i)).sum()) for i, c in enumerate(CLASSES)}
        for split in SPLIT_SIZES
    }
    return DatasetManifest(
        name=name,
        classes=CLASSES,
        image_shape=IMAGE_SHAPE,
        mean=0.5,
        std=0.25,
        counts=counts,
        steps=({"step": "drawn", "removed": 0, "left": len(labels)},),
        label_rule="drawn",
        split_method="grouped",
        split_seed=0,
        duplicates={"groups": 0, "surplus": 0, "across_splits": 0},
        details={},
        versions={"python": "3.11.9"},
        fingerprint="f" * 64,
    )


def _disc(label: int, rng: np.random.Generator) -> bytes:
    height, width = IMAGE_SHAPE
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (5 + 1.5 * label) ** 2
    picture = rng.normal(70 + 12 * label, 18, IMAGE_SHAPE) + inside * (70 + 10 * label)
    return picture.clip(0, 255).astype(np.uint8).tobytes()


def _configs(count: int) -> list[dict[str, Any]]:
    grid = [
        {"kernel_size": k, "blocks": b, "channels": c, "conv_depth": d, "fc_layers": b // 2}
        for k in (3, 5)
        for b in (2, 4)
        for c in (8, 16)
        for d in (1, 2, 3)
    ]
    fixed = {
        "family": "resnet",
        "pool_size": 8,
        "learning_rate": 0.001,
        "weight_decay": 0.0001,
        "batch_size": 64,
        "epochs": EPOCHS,
        "seed": FIRST_SEED,
        "fold": None,
    }
    chosen = np.linspace(0, len(grid) - 1, min(count, len(grid))).round().astype(int)
    return [{**fixed, **grid[i]} for i in chosen]


def _trial(config: dict[str, Any], number: int) -> Trial:
    shape = {name: value for name, value in config.items() if name != "seed"}
    name = "B{channels}_N{blocks}_FC{fc_layers}_K{kernel_size}_AP{pool_size}".format(**config)
    return Trial(
        id=_digest(config),
        configuration_id=_digest(shape),
        number=number,
        name=f"{name}_D{config['conv_depth']}",
        phase="search",
        replicate=0,
        config=config,
        epochs=EPOCHS,
        devices=(0.5, 2.0)[number % 2],
    )


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _skill(config: Mapping[str, Any]) -> float:
    """Expected final accuracy of a configuration; deeper and wider is slightly better."""
    return (
        0.5
        + 0.02 * (config["kernel_size"] == 5)
        + 0.012 * (config["blocks"] - 2)
        + 0.002 * (config["channels"] - 8)
        + 0.01 * (config["conv_depth"] - 1)
    )


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


def _metrics(
    labels: np.ndarray, probabilities: np.ndarray, reach: float, skill: float, epoch: int
) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    right = np.bincount(labels[predicted == labels], minlength=len(CLASSES))
    given, truth = (np.bincount(each, minlength=len(CLASSES)) for each in (predicted, labels))
    accuracy = float((predicted == labels).mean())
    macro = {
        "precision": float((right / np.maximum(given, 1)).mean()),
        "recall": float((right / np.maximum(truth, 1)).mean()),
        "f1": float((2 * right / np.maximum(given + truth, 1)).mean()),
    }
    values = {"val_accuracy": accuracy}
    values |= {f"val_macro_{name}": score for name, score in macro.items()}
    values |= {f"val_micro_{name}": accuracy for name in macro}  # one label a picture
    overfit = 0.012 * max(0, epoch - 7)
    return values | {
        "val_loss": 1.9 - 1.5 * reach + overfit,
        "train_loss": 1.38 * np.exp(-0.11 * epoch * skill),
        "train_accuracy": min(0.97, reach + 0.015 * epoch - 0.02),
        "learning_rate": 0.001,
        "seconds": 2.0,
        "images_per_second": SPLIT_SIZES["train"] / 1.8,
    }


def _diverge(trial: Trial, run: Path) -> None:
    del trial.measurements[2:]
    values = {**trial.measurements[1].values, "train_loss": float("nan"), "val_loss": float("nan")}
    trial.measurements[1] = Measurement(epoch=2, values=values)
    trial.ending = Ending(status=Status.DIVERGED, reason="train_loss is NaN at epoch 2")
    (run / PREDICTIONS_DIR / f"{trial.id}.parquet").unlink()


def _fail(trial: Trial, run: Path) -> None:
    trial.measurements.clear()
    reason = "RuntimeError: a <worker> died & left nothing"
    trial.ending = Ending(status=Status.FAILED, reason=reason)
    trial.parameters, trial.seconds = None, 0.4
    (run / PREDICTIONS_DIR / f"{trial.id}.parquet").unlink()


def _accuracy(trial: Trial) -> float:
    best = trial.best()
    return best.values["val_accuracy"] if best else 0.0


def _row(trial: Trial, info: TableInfo) -> dict[str, Any]:
    best = trial.best(info.objective["metric"], info.objective["mode"])
    row: dict[str, Any] = {
        **{name: value for name, value in vars(trial).items() if name not in ("id", "config")},
        **trial.config,
        "trial_id": trial.id,
        "status": str(trial.status),
        "reason": trial.reason,
        "epochs_trained": len(trial.measurements),
        "device_seconds": trial.seconds * trial.devices,
    }
    if best and trial.last:
        row["best_epoch"] = best.epoch
        row |= {f"best_{name}": best.values[name] for name in METRICS}
        row |= {f"last_{name}": trial.last.values[name] for name in METRICS}
    return row


def _write_predictions(
    run: Path, trial: Trial, labels: np.ndarray, probabilities: np.ndarray, epoch: int
) -> None:
    offset = SPLIT_SIZES["train"]
    table = predictions_table(
        image_ids=[f"drawn/{i + offset:05d}" for i in range(len(labels))],
        labels=labels,
        probabilities=probabilities,
        split="val",
        epoch=epoch,
        classes=CLASSES,
    )
    if trial.number % 2:
        table = table.take(list(range(len(labels)))[::-1])
    (run / PREDICTIONS_DIR).mkdir(parents=True, exist_ok=True)
    pq.write_table(table, run / PREDICTIONS_DIR / f"{trial.id}.parquet")
