"""Replicates of a configuration: one after another, in parallel, and fused into one network.

The unit is pictures per second of the machine, from the end of the first epoch to the end of the
last. All three sides use the sweep engine.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Result, in_process, write_pictures
from data_prep.manifest import DatasetManifest
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events
from tune.session.session import start
from tune.sweep.spec import parse_spec

FIXED: dict[str, Any] = {
    "family": "resnet",
    "kernel_size": 3,
    "blocks": 4,
    "fc_layers": 1,
    "fc_width": 128,
    "augmentation": "flip_rotate",
    "batch_size": 64,
}
GPU = torch.cuda.is_available()
CHANNELS = (16,) if GPU else (4, 8, 16)
REPLICATES = 10 if GPU else 4
IMAGES = 12_000 if GPU else 1000
EPOCHS = 4
SIDES: dict[str, dict[str, Any]] = {
    "in turn": {"fuse": "never", "resources": {"trials_at_once": 1}},
    "packed side by side": {"fuse": "never"},
    "as one": {"fuse": "always"},
}


def replicates(data: str, channels: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train the replicates, all known from the start, and return the pictures per second."""
    precision = "bf16" if GPU else "float32"
    spec = parse_spec(
        {
            "name": "fused",
            "data": data,
            "fixed": {**FIXED, "precision": precision, "channels": channels, "epochs": EPOCHS},
            "space": {"weight_decay": [1e-4]},
            "replicates": 1 + REPLICATES,
            **_resources(changes),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        run, sweep = start(spec, Path(folder))
        first = next(trial for trial in sweep.trials.values() if trial.phase == "search").id
        ended = [
            (event.time, event.epoch)
            for event in read_events(run)
            if isinstance(event, MeasurementTaken) and event.trial != first
        ]
        gains = [fusing.gain for fusing in sweep.fusings]
    pictures = sum(DatasetManifest.read(Path(data)).counts["train"].values())
    # The clock starts when the first epochs end, so these epochs are not counted.
    begun = min(time for time, _ in ended)
    counted = sum(time > begun + 0.1 for time, _ in ended)
    rate = pictures * counted / (max(time for time, _ in ended) - begun)
    return {"rate": rate, "gains": gains}


def _resources(changes: dict[str, Any]) -> dict[str, Any]:
    asked = changes.get("resources")
    if asked is None or not GPU:
        return changes
    return {**changes, "resources": {**asked, "gpus": 1}}


def run(data: Path | None = None) -> Iterator[Result]:
    """Measure all three sides for each number of channels."""
    with tempfile.TemporaryDirectory() as folder:
        faces = Path(folder) / "faces"
        write_pictures(faces, IMAGES, data)
        for channels in CHANNELS:
            sides = {
                name: in_process(replicates, str(faces), channels, changes)
                for name, changes in SIDES.items()
            }
            mine = sides.pop("as one")
            yield Result(
                name=f"fused_{channels}_channels",
                unit="pictures a second",
                ours=mine["rate"],
                others={name: side["rate"] for name, side in sides.items()},
                smaller_is_better=False,
                details={
                    "replicates": REPLICATES,
                    "gain measured by the probe": mine["gains"],
                    "pictures": f"{IMAGES}, {'synthetic' if data is None else 'real'}",
                },
            )
