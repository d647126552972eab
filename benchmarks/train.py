"""Pictures per second that this machine trains, with one configuration.

Our side is a sweep with one trial per core, all in parallel. Each side is measured from the end of
its first epoch to the end of its last, including validation and metrics.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks import student
from benchmarks.harness import Result, bf16_words, in_process, write_pictures
from benchmarks.kernels import kernels
from benchmarks.limit import Limit, Rates
from data_prep.manifest import DatasetManifest
from fairsweep.processor import bf16_instructions
from models.config import TrainConfig
from tune.execution.slots import MOST_PER_GPU
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events
from tune.session.session import start
from tune.sweep.spec import parse_spec

GPU = torch.cuda.is_available()
CONFIG: dict[str, Any] = {
    "family": "resnet",
    "channels": 16,
    "augmentation": "flip_rotate",
    "batch_size": 64,
    **(
        {"kernel_size": 5, "blocks": 8, "fc_layers": 2, "fc_width": "flat", "precision": "bf16"}
        if GPU
        else {"kernel_size": 3, "blocks": 4, "fc_layers": 1, "fc_width": 128}
    ),
}
IMAGES = 12_000 if GPU else 2000
EPOCHS = 4
TRIALS = min(os.cpu_count() or 1, MOST_PER_GPU) if GPU else os.cpu_count() or 1
"""Number of trials that the engine trains in parallel."""


def files(data: str, folder: str, config: dict[str, Any] = CONFIG) -> dict[str, Any]:
    """Train in float32 on picture files, transformed one at a time, on two threads."""
    config = {**config, "precision": "float32"}
    loaders = student.file_loaders(Path(folder), config["batch_size"])
    return _students_rate(data, config, loaders, channels_last=False)


def tensor(data: str, config: dict[str, Any] = CONFIG) -> dict[str, Any]:
    """Train on a tensor in memory, transformed in batches, on two threads."""
    loaders = student.tensor_loaders(Path(data), config["batch_size"])
    return _students_rate(data, config, loaders, channels_last=True)


def ours(
    data: str, config: dict[str, Any] = CONFIG, *, at_once: int = TRIALS, epochs: int = EPOCHS
) -> dict[str, Any]:
    """Run a sweep with one trial per slot."""
    decays = [1e-4 * (1 + 1e-3 * number) for number in range(at_once)]
    share = {"gpus": 1 / at_once} if GPU else {"cpus": 1}
    spec = {
        "name": "train",
        "data": data,
        "fixed": {**config, "epochs": epochs},
        "space": {"weight_decay": decays},
        "resources": {**share, "trials_at_once": at_once},
    }
    with tempfile.TemporaryDirectory() as folder:
        run, _ = start(parse_spec(spec), Path(folder))
        ended: dict[str, list[float]] = {}
        for event in read_events(run):
            if isinstance(event, MeasurementTaken):
                ended.setdefault(event.trial, []).append(event.time)
    rates = [_rate(data, times)["rate"] for times in ended.values()]
    return {"rate": sum(rates), "trials": len(rates)}


def _students_rate(
    data: str, config: dict[str, Any], loaders: list[DataLoader[Any]], *, channels_last: bool
) -> dict[str, Any]:
    epochs = student.train(config, loaders, epochs=EPOCHS, threads=2, channels_last=channels_last)
    return _rate(data, [time.perf_counter() for _ in epochs])


def _rate(data: str, ended: list[float]) -> dict[str, Any]:
    pictures = sum(DatasetManifest.read(Path(data)).counts["train"].values())
    return {"rate": pictures * (len(ended) - 1) / (ended[-1] - ended[0])}


def run(data: Path | None = None) -> Iterator[Result]:
    """Measure all sides, one after the other, and profile a training step of ours.

    On a processor with instructions for bf16, a second result has bf16 on both sides.
    """
    with tempfile.TemporaryDirectory() as folder:
        faces, pictures = Path(folder) / "faces", Path(folder) / "pictures"
        write_pictures(faces, IMAGES, data)
        student.write_pictures(faces, pictures)
        yield _result("train", CONFIG, faces, pictures)
        if not GPU and bf16_instructions():
            yield _result("train_bf16", {**CONFIG, "precision": "bf16"}, faces)


def _result(name: str, values: dict[str, Any], faces: Path, pictures: Path | None = None) -> Result:
    """Measure one configuration; without ``pictures``, beside the tensor in memory only."""
    data = str(faces)
    mine = in_process(ours, data, values)
    others = {"a tensor in memory, channels last": in_process(tensor, data, values)["rate"]}
    if pictures is not None:
        loop = in_process(files, data, str(pictures), values)["rate"]
        others = {"a student's loop over files": loop, **others}
    manifest = DatasetManifest.read(faces)
    config = TrainConfig.create(values)
    top = Limit.of(
        config,
        Rates.measure(config.precision),
        classes=len(manifest.classes),
        image_shape=manifest.image_shape,
    )
    return Result(
        name=name,
        unit="pictures a second",
        ours=mine["rate"],
        others=others,
        smaller_is_better=False,
        details={
            "configuration": values,
            "trials at once, ours": mine["trials"],
            "bf16 on the processor": bf16_words(),
            "share of the limit, ours": round(mine["rate"] / top.pictures_per_second, 3),
            "share of a step": in_process(kernels, data, values),
            "limit": top.to_dict(),
        },
    )
