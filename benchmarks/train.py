"""Pictures that this machine trains in a second, with one configuration.

Ours runs as the engine runs it: a trial on each core, side by side. Each side is counted from the
end of its first epoch to the end of its last, validation and metrics included.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import student
from benchmarks.harness import Result, in_process
from data_prep.manifest import DatasetManifest
from data_prep.synthetic import prepare_synthetic
from models.config import TrainConfig
from models.cost import training_cost
from tune.schema import read_events
from tune.session import start
from tune.spec import parse_spec

CONFIG: dict[str, Any] = {
    "family": "resnet",
    "kernel_size": 3,
    "blocks": 4,
    "channels": 16,
    "fc_layers": 1,
    "fc_width": 128,
    "augmentation": "flip_rotate",
    "batch_size": 64,
}
RAW_IMAGES = 4000
EPOCHS = 4
MATRIX_SIDE = 1024
MATRIX_SECONDS = 3.0
BACKWARD = 3
"""A step takes so many times the arithmetic of its forward pass (each layer's gradient by its input
and by its weights takes as much again)."""


def files(data: str, folder: str) -> dict[str, Any]:
    """Train over picture files, transformed one by one, on two threads."""
    loaders = student.file_loaders(Path(folder), CONFIG["batch_size"])
    return _rate(
        data, student.train(CONFIG, loaders, epochs=EPOCHS, threads=2, channels_last=False)
    )


def tensor(data: str) -> dict[str, Any]:
    """Train over a tensor in memory, transformed in batches, on two threads."""
    loaders = student.tensor_loaders(Path(data), CONFIG["batch_size"])
    return _rate(data, student.train(CONFIG, loaders, epochs=EPOCHS, threads=2, channels_last=True))


def ours(data: str) -> dict[str, Any]:
    """Run a sweep with a trial for each slot."""
    decays = [1e-4 * (1 + 1e-3 * number) for number in range(os.cpu_count() or 1)]
    spec = {
        "name": "train",
        "data": data,
        "fixed": {**CONFIG, "epochs": EPOCHS},
        "space": {"weight_decay": decays},
    }
    with tempfile.TemporaryDirectory() as folder:
        run, _ = start(parse_spec(spec), Path(folder))
        ended: dict[str, list[float]] = {}
        for event in read_events(run):
            if event["event"] == "measurement":
                ended.setdefault(event["trial"], []).append(event["time"])
    rates = [_rate(data, times)["rate"] for times in ended.values()]
    return {"rate": sum(rates), "trials": len(rates)}


def _rate(data: str, ended: list[float]) -> dict[str, Any]:
    pictures = sum(DatasetManifest.read(Path(data)).counts["train"].values())
    return {"rate": pictures * (len(ended) - 1) / (ended[-1] - ended[0])}


def _multiply(_core: int) -> float:
    """Return the float32 operations a second of one thread in matrix products."""
    torch.set_num_threads(1)
    one, other = torch.rand(2, MATRIX_SIDE, MATRIX_SIDE)
    begun, products = time.perf_counter(), 0
    while (seconds := time.perf_counter() - begun) < MATRIX_SECONDS:
        torch.mm(one, other)
        products += 1
    return 2 * MATRIX_SIDE**3 * products / seconds


def limit() -> dict[str, float]:
    """Return the pictures a second that the cores' matrix products would allow."""
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        flops = sum(pool.map(_multiply, range(cores)))
    cost = training_cost(TrainConfig.create({**CONFIG, "seed": 0}), classes=4, image_shape=(48, 48))
    return {"flops": flops, "rate": flops / (BACKWARD * cost.flop_per_picture)}


def run() -> Iterator[Result]:
    """Measure all sides, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        data, pictures = Path(folder) / "faces", Path(folder) / "pictures"
        prepare_synthetic(out=data, images=RAW_IMAGES, near_duplicates=False)
        student.write_pictures(data, pictures)
        mine = in_process(ours, str(data))
        others = {
            "a student's loop over files": in_process(files, str(data), str(pictures)),
            "a tensor in memory, channels last": in_process(tensor, str(data)),
        }
    details: dict[str, Any] = {"configuration": CONFIG, "trials at once, ours": mine["trials"]}
    if not torch.cuda.is_available():
        top = limit()
        details |= {
            "float32 matrix products of all cores": f"{top['flops'] / 1e9:.0f} GFLOP/s",
            "limit, pictures a second": round(top["rate"]),
            "share of the limit, ours": round(mine["rate"] / top["rate"], 3),
        }
    yield Result(
        name="train",
        unit="pictures a second",
        ours=mine["rate"],
        others={name: side["rate"] for name, side in others.items()},
        smaller_is_better=False,
        details=details,
    )
