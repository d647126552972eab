"""What large colour pictures cost to prepare, to unpack and to train on, as their number grows.

Every step is a command of its own. Costs are CPU seconds of a command and all processes that it
starts, because other work on the machine changes them less than seconds by the clock. The ratios
compare the largest number with the smaller ones: they are near 1 if a picture costs the same.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.harness import Result, in_process
from benchmarks.photos import COPY_EVERY, SIDE, draw_photos
from benchmarks.process_tree import Usage, run_measured
from data_prep.manifest import DatasetManifest
from data_prep.reader import read_dataset
from models.config import TrainConfig
from models.data import DeviceDataset
from models.gather import gathered_ahead
from models.loop import Loop

COUNTS = (10_000, 50_000, 100_000)
NETWORK = {"family": "staged", "channels": 8, "blocks": 1, "batch_size": 64}
REDUCED_SIDE = 64
STEPS = 20
"""Training steps that are timed, after a first one."""
TRIALS = 2
"""Trials that a sweep trains at once."""
TRAINED_SECONDS = 30.0
"""CPU seconds after which the sweep is ended: memory no longer grows."""
UNPACK = """
import sys, pathlib
from data_prep.reader import read_dataset
read_dataset(pathlib.Path(sys.argv[1]), unpack_to=pathlib.Path.cwd)
"""
"""Reads a dataset as a sweep's driver does; its working directory holds the unpacked file."""

Figures = dict[str, Any]


def run(counts: Sequence[int] = COUNTS) -> Iterator[Result]:
    """Prepare, unpack and train at each number of pictures, from the smallest to the largest."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        draw_photos(photos, max(counts))
        figures = {}
        for count in sorted(counts):
            figures[count] = measure(_first(photos, count, Path(folder)), count)
            print(json.dumps({"pictures": count, **figures[count]}), flush=True)
    for step in ("prepare", "unpack", "train"):
        yield _result(step, figures)


def measure(photos: Path, count: int) -> dict[str, Figures]:
    """Measure every step on a folder of pictures."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = place / "data"
        prepared = _prepare(photos, data, count)
        unpacked = run_measured([sys.executable, "-c", UNPACK, str(data)], place)
        trained = in_process(steps, str(data))
        trained |= {"memory of a sweep": _sweep(data)}
    return {"prepare": prepared, "unpack": _figures(unpacked, count), "train": trained}


def _prepare(photos: Path, data: Path, count: int) -> Figures:
    options = ["--colour", "--image-size", str(SIDE), "--out", str(data)]
    command = [sys.executable, "-m", "data_prep", "images", str(photos), *options]
    figures = _figures(run_measured(command, data.parent), count)
    manifest = DatasetManifest.read(data)
    if manifest.images != count:
        raise RuntimeError(f"of {count:,} pictures {manifest.images:,} are in the dataset")
    found = manifest.duplicates["surplus"]
    return {**figures, "planted copies": count // COPY_EVERY, "copies found": found}


def steps(data: str) -> Figures:
    """Time training steps on one thread, at the full and at a reduced size."""
    torch.set_num_threads(1)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        dataset = DeviceDataset.create(read_dataset(Path(data), unpack_to=lambda: Path(folder)))
        for side in (SIDE, REDUCED_SIDE):
            config = TrainConfig.create({**NETWORK, "image_size": side})
            figures[side] = 1000 * _step_seconds(config, dataset) / config.batch_size
    return {
        "CPU ms a picture": round(figures[REDUCED_SIDE], 3),
        "pictures a CPU second": {
            f"{side} pixels": round(1000 / ms) for side, ms in figures.items()
        },
    }


def _step_seconds(config: TrainConfig, data: DeviceDataset) -> float:
    """Return the CPU seconds of a step, with gathering its pictures."""
    loop = Loop([config], data)
    loop.prepare_epoch()
    some = gathered_ahead(islice(loop.batches(), 1 + STEPS), data)
    loop.step(next(some), config.learning_rate)
    begun = time.process_time()
    for batches in some:
        loop.step(batches, config.learning_rate)
    return (time.process_time() - begun) / STEPS


def _sweep(data: Path) -> Figures:
    """Begin a sweep of trials side by side, and return the memory of its processes."""
    spec = {
        "name": "large",
        "data": str(data),
        "fixed": {**NETWORK, "image_size": REDUCED_SIDE, "epochs": 1},
        "space": {"learning_rate": [0.001 * (1 + trial) for trial in range(TRIALS)]},
        "resources": {"cpus": 1, "trials_at_once": TRIALS},
    }
    file = data.parent / "spec.yaml"
    file.write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "tune", "run", str(file)]
    usage = run_measured(command, data.parent, enough=("ray::", TRAINED_SECONDS))
    return _memory(usage)


def _first(photos: Path, count: int, folder: Path) -> Path:
    """Return a folder of links to the first ``count`` pictures."""
    chosen = folder / f"first_{count}"
    for file in sorted(photos.rglob("*.jpg"), key=lambda file: file.name)[:count]:
        place = chosen / file.relative_to(photos)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, place)
    return chosen


def _figures(usage: Usage, count: int) -> Figures:
    return {
        "CPU ms a picture": round(1000 * usage.cpu_seconds / count, 3),
        "seconds": round(usage.seconds, 1),
        **_memory(usage),
    }


def _memory(usage: Usage) -> Figures:
    each = {name: round(size / 1e6) for name, size in usage.peak_of_each.items()}
    return {"MB": round(usage.peak_bytes / 1e6), "MB of one process": each}


def _result(step: str, figures: Mapping[int, dict[str, Figures]]) -> Result:
    costs = {count: of_all[step]["CPU ms a picture"] for count, of_all in figures.items()}
    *smaller, largest = costs
    return Result(
        name=f"large_pictures_{step}",
        unit=f"CPU ms to {step} a picture, {largest:,} pictures",
        ours=costs[largest],
        others={f"{count:,}": costs[count] for count in smaller},
        smaller_is_better=True,
        details={f"{count:,}": of_all[step] for count, of_all in figures.items()},
    )
