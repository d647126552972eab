"""How things grow: with trials, with trials at once, and with pictures.

The ratios compare the largest size with the smaller ones: near 1 where a trial, a slot or a picture
costs the same at any size.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import overhead
from benchmarks.harness import Result, in_process, resident_bytes
from data_prep.reader import read_dataset
from data_prep.synthetic import prepare_synthetic
from tune.bundle import Bundle
from tune.engine import drive
from tune.ray_session import ray_session
from tune.schema import MEASURED, TIMINGS
from tune.slots import find_slots
from tune.spec import parse_spec
from tune.sweep import Sweep

TRIALS = (10, 100, 1000, 5000)
AT_ONCE = (1, 2, 4, 8, 16)
PICTURES = (10_000, 50_000, 200_000)
EPOCH_SECONDS = 0.5
EPOCHS = 4
STORE_BYTES = 200_000_000


@dataclass(kw_only=True)
class Waits:
    """A training that leaves the CPU alone, as one on a GPU does."""

    trial_id: str
    parameters: int = 0
    device: str = "none"
    epoch: int = 0

    def advance(self) -> list[tuple[str, int, Mapping[str, float]]]:
        """Wait for the time of an epoch."""
        time.sleep(EPOCH_SECONDS)
        self.epoch += 1
        return [(self.trial_id, self.epoch, dict.fromkeys((*MEASURED, *TIMINGS), 0.5))]

    def end(self, _trial_id: str) -> None:
        """Go on: there is only one trial."""

    def close(self) -> None:
        """Leave nothing."""


class Waiting(overhead.TrivialTrainings):
    """Opens trainings that wait."""

    def __call__(self, bundle: Bundle) -> Waits:  # type: ignore[override]
        """Open one."""
        return Waits(trial_id=bundle.key)


def at_once(count: int) -> dict[str, Any]:
    """Run trials on so many slots; return the share of the time in which they trained."""
    spec = parse_spec(
        {
            "name": "scale",
            "data": "none",
            "fixed": {"epochs": EPOCHS},
            "space": {"learning_rate": {"low": 1e-6, "high": 1.0, "log": True}},
            "searcher": {"name": "random", "samples": 6 * count},
            "resources": {"cpus": 1 / max(AT_ONCE), "trials_at_once": count},
        }
    )
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ray_session(object_store_bytes=STORE_BYTES):
        sweep = Sweep(spec, fingerprint="none")
        sweep.begin()

        def watch() -> None:
            finished = sum(trial.ended for trial in sweep.trials.values())
            ended.extend([time.perf_counter()] * (finished - len(ended)))

        drive(
            sweep,
            run=Path(folder),
            slots=find_slots(spec),
            make_training=Waiting(),
            on_step=watch,
        )
    # From the end of the first trials, so that the start of the workers is left out.
    trained = (len(ended) - count) * EPOCHS * EPOCH_SECONDS
    return {"share": trained / count / (ended[-1] - ended[count - 1])}


def pictures(count: int) -> dict[str, Any]:
    """Draw, write and read a dataset; return the seconds for 1,000 pictures of each."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        prepare_synthetic(out=Path(folder) / "faces", images=count, near_duplicates=False)
        prepared = time.perf_counter()
        rows = len(read_dataset(Path(folder) / "faces").labels)
        read = time.perf_counter()
    return {
        "prepare": 1000 * (prepared - begun) / count,
        "read": 1000 * (read - prepared) / rows,
        "bytes": resident_bytes(),
    }


def run() -> Iterator[Result]:
    """Measure every size of each, from the smallest to the largest."""
    trials = {size: in_process(overhead.ours, size)["seconds"] for size in TRIALS}
    yield _result("trials", "seconds a trial", trials, smaller_is_better=True)
    shares = {size: in_process(at_once, size)["share"] for size in AT_ONCE}
    yield _result("at_once", "share of the time trained", shares, smaller_is_better=False)
    sizes = {size: in_process(pictures, size) for size in PICTURES}
    yield _result(
        "pictures",
        "seconds to prepare 1,000 pictures",
        {size: side["prepare"] for size, side in sizes.items()},
        smaller_is_better=True,
        details={
            "seconds to read 1,000 pictures": {n: round(s["read"], 4) for n, s in sizes.items()},
            "memory in MB at the end": {n: round(s["bytes"] / 1e6) for n, s in sizes.items()},
        },
    )


def _result(
    name: str,
    unit: str,
    figures: Mapping[int, float],
    *,
    smaller_is_better: bool,
    details: Mapping[str, Any] | None = None,
) -> Result:
    *smaller, largest = figures
    return Result(
        name=f"scale_{name}",
        unit=f"{unit}, {largest:,} {name.replace('_', ' ')}",
        ours=figures[largest],
        others={f"{size:,}": figures[size] for size in smaller},
        smaller_is_better=smaller_is_better,
        details=dict(details or {}),
    )
