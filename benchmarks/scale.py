"""How costs grow with the number of trials, of concurrent trials, and of pictures.

The ratios compare the largest size with the smaller ones. They are near 1 if a trial, a slot or a
picture costs the same at every size.
"""

import os
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
from tune.execution.executor import EpochReport
from tune.execution.ray_cluster import ray_session
from tune.execution.ray_executor import drive
from tune.execution.slots import find_slots
from tune.sweep.bundle import Bundle
from tune.sweep.spec import parse_spec
from tune.sweep.sweep import Sweep

TRIALS = (10, 100, 1000, 5000)
AT_ONCE = (1, 2, 4, 8, 16)
PICTURES = (10_000, 50_000, 200_000)
EPOCH_SECONDS = 0.5
EPOCHS = 4
STORE_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Worker processes that find each other through files in a folder."""

    folder: Path
    count: int

    def meet(self) -> None:
        """Wait until all workers have called this."""
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < self.count:
            time.sleep(0.05)


class Waits(overhead.TrivialTraining):
    """A training that does not use the CPU, like one on a GPU."""

    def __init__(self, bundle: Bundle, workers: Workers) -> None:
        super().__init__(bundle)
        self._workers = workers

    def advance(self) -> list[EpochReport]:
        """Wait for the other workers, then for the time of an epoch."""
        self._workers.meet()
        time.sleep(EPOCH_SECONDS)
        return super().advance()


@dataclass(frozen=True, kw_only=True)
class Waiting(overhead.TrivialTrainings):
    """Opens `Waits` trainings."""

    workers: Workers

    def __call__(self, bundle: Bundle) -> Waits:
        """Open a training that waits."""
        return Waits(bundle, self.workers)


def at_once(count: int) -> dict[str, Any]:
    """Run trials on ``count`` slots; return the share of the time in which the slots trained."""
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
        workers = Workers(folder=Path(folder) / "workers", count=count)
        workers.folder.mkdir()

        def watch() -> None:
            finished = sum(trial.ended for trial in sweep.trials.values())
            ended.extend([time.perf_counter()] * (finished - len(ended)))

        drive(
            sweep,
            run=Path(folder),
            slots=find_slots(spec),
            make_training=Waiting(workers=workers),
            on_step=watch,
        )
    # The clock starts at the end of the first trials, because workers start before that.
    trained = (len(ended) - count) * EPOCHS * EPOCH_SECONDS
    return {"share": trained / count / (ended[-1] - ended[count - 1])}


def pictures(count: int) -> dict[str, Any]:
    """Generate, write and read a dataset; return the seconds per 1,000 pictures of both steps."""
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
    """Measure each quantity at every size, from the smallest to the largest."""
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
