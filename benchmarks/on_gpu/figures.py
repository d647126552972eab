"""Figures of a GPU: rates beside a student's loop and the counted limit, and whole sweeps."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks import fused, student, train
from benchmarks.kernels import kernels
from benchmarks.limit import Limit, Rates
from benchmarks.on_gpu.parts import Row, Settings
from data_prep.manifest import DatasetManifest
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import fit
from tune.commands.plan import training_pictures
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events
from tune.session.session import start
from tune.sweep.spec import parse_spec

PACKED = (1, 2, 4, 8)
GRID = Path(train.__file__).parents[1] / "tune" / "specs" / "resnet_grid.yaml"
GRID_EPOCHS = 3
"""Epochs of each network of the grid that are trained."""
GOAL = 0.93
CIFAR: dict[str, Any] = {
    "family": "staged",
    "channels": 64,
    "blocks": 2,
    "stages": 4,
    "optimizer": "adamw",
    "lr_schedule": "one_cycle",
    "learning_rate": 0.003,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "batch_size": 128,
    "augmentation": "flip",
    "shift": 0.125,
    "test_time_flip": True,
    "precision": "bf16",
    "epochs": 30,
}
_SMALLER: dict[str, Any] = {"channels": 4, "blocks": 1, "pool_size": 4, "fc_width": 16}


def train_rates(settings: Settings) -> Iterator[Row]:
    """Yield the pictures a second of a sweep of ours and of a student's loops."""
    data, config, more = _work(settings)
    mine = train.ours(str(data), config, **more)
    yield {"what": "train, ours", "unit": "pictures a second", **mine, "configuration": config}
    yield _beside(mine, "a tensor in memory, channels last", train.tensor(str(data), config))
    if settings.on_gpu:
        yield _beside(mine, "a student's loop over files", _files(data, config))


def _beside(mine: Row, name: str, other: Row) -> Row:
    return {"what": f"train, {name}", **other, "ours is better by": mine["rate"] / other["rate"]}


def share_of_limit(settings: Settings) -> Iterator[Row]:
    """Yield the counted limit of a configuration, and the kernels that take a step's time."""
    data, config, _ = _work(settings)
    whole = TrainConfig.create(config)
    manifest = DatasetManifest.read(data)
    top = Limit.of(
        whole,
        Rates.measure(whole.precision),
        classes=len(manifest.classes),
        image_shape=manifest.image_shape,
    )
    yield {"what": "counted limit", **top.to_dict()}
    yield {"what": "kernels of a step", "shares": kernels(str(data), config)}


def packed(settings: Settings) -> Iterator[Row]:
    """Yield the pictures a second of 1 to 8 trials side by side."""
    data, config, more = _work(settings)
    for at_once in PACKED if settings.on_gpu else PACKED[:1]:
        mine = train.ours(str(data), config, **{**more, "at_once": at_once})
        yield {"what": f"packed {at_once}", "unit": "pictures a second", **mine}


def fused_replicates(settings: Settings) -> Iterator[Row]:
    """Yield the pictures a second of replicates in turn, side by side, and as one."""
    data = str(settings.large(fused.IMAGES))
    channels = fused.CHANNELS[0]
    # In this order, what is most likely to be cut short is the slowest.
    for name in ("as one", "packed side by side", "in turn") if settings.on_gpu else ("as one",):
        found = fused.replicates(data, channels, fused.SIDES[name])
        yield {"what": f"replicates {name}", "unit": "pictures a second", **found}


def resnet_grid(settings: Settings) -> Iterator[Row]:
    """Train the study's grid for a few epochs, and extrapolate to all of its epochs."""
    spec = yaml.safe_load(GRID.read_text("utf-8"))
    whole = spec["fixed"]["epochs"]
    spec["data"] = str(settings.large(train.IMAGES))
    spec["fixed"] |= {"epochs": GRID_EPOCHS}
    if settings.on_gpu:
        spec["fixed"] |= {"precision": "bf16"}
    else:
        spec["fixed"] |= {"pool_size": 4, "fc_width": 16, "conv_depth": 1}
        spec["space"] |= {"channels": [2], "kernel_size": [3]}
    checked = parse_spec(spec)
    with tempfile.TemporaryDirectory() as folder:
        run, sweep = start(checked, Path(folder))
        measured = [event for event in read_events(run) if isinstance(event, MeasurementTaken)]
    begun = min(event.time - event.values["seconds"] for event in measured)
    seconds = max(event.time for event in measured) - begun
    yield {
        "what": f"resnet_grid, {GRID_EPOCHS} of {whole} epochs",
        "seconds from the first epoch to the last": seconds,
        "extrapolated to all epochs, at most": seconds * whole / GRID_EPOCHS,
        "trials": len(sweep.trials),
        "training pictures": training_pictures(checked, DatasetManifest.read(Path(spec["data"]))),
    }


def cifar10(settings: Settings) -> Iterator[Row]:
    """Train one network on CIFAR-10, and yield its accuracy after each epoch up to the goal."""
    if settings.cifar is None:
        yield {"what": "cifar10 left out", "reason": "no --cifar"}
        return
    from data_prep.reader import read_dataset  # After the part has begun: it reads 150 MB.

    values = CIFAR if settings.on_gpu else {**CIFAR, "channels": 2, "blocks": 1, "epochs": 1}
    data = DeviceDataset.create(read_dataset(settings.cifar), settings.device)
    seconds = 0.0
    for result in fit(TrainConfig.create(values), data):
        seconds += result.values["seconds"]
        accuracy = result.values["val_accuracy"]
        figures = {"epoch": result.epoch, "val_accuracy": accuracy, "seconds": seconds}
        yield {"what": "cifar10", **figures, "goal reached": accuracy >= GOAL}
        if accuracy >= GOAL:
            return


def _work(settings: Settings) -> tuple[Path, dict[str, Any], Mapping[str, int]]:
    """Return the dataset and the configuration of the rates, and how long a sweep trains."""
    data = settings.large(train.IMAGES)
    if settings.on_gpu:
        return data, train.CONFIG, {}
    return data, {**train.CONFIG, **_SMALLER}, {"epochs": 2, "at_once": 1}


def _files(data: Path, config: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        student.write_pictures(data, Path(folder))
        return train.files(str(data), folder, config)
