"""What a trial costs beside its training: trivial trials through our engine and through bare Ray.

Each trial reports five times and does nothing else. Seconds a trial are counted from the first
report to the last, so that starting Ray and the first worker is left out on every side.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import ray.tune

from benchmarks.harness import Result, in_process, resident_bytes
from tune.execution.executor import EpochReport
from tune.execution.ray_cluster import ray_session
from tune.execution.ray_executor import drive
from tune.execution.slots import find_slots
from tune.run.ledger import Ledger
from tune.run.trial import MEASURED, TIMINGS
from tune.session.chores import Chores
from tune.session.loggers import Loggers
from tune.session.progress import Progress
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.spec import parse_spec
from tune.sweep.sweep import Sweep

REPORTS = 5
STORE_BYTES = 200_000_000


class TrivialTraining:
    """A training that trains nothing."""

    parameters = 0
    device = "cpu"

    def __init__(self, bundle: Bundle) -> None:
        self._trial_id = bundle.key
        self._epoch = 0

    def advance(self) -> list[EpochReport]:
        """Report the same figures once more."""
        self._epoch += 1
        values = dict.fromkeys((*MEASURED, *TIMINGS), 0.5)
        return [EpochReport(self._trial_id, self._epoch, values)]

    def end(self, _trial_id: str) -> None:
        """Go on: there is only one trial."""

    def close(self) -> None:
        """Leave nothing."""


class TrivialTrainings:
    """Opens trivial trainings."""

    def __call__(self, bundle: Bundle) -> TrivialTraining:
        """Open one."""
        return TrivialTraining(bundle)

    def probe(self, bundle: Bundle) -> Fusing:
        """Have nothing to gain."""
        return Fusing(trials=tuple(bundle.trials), fused=False, gain=0.0)

    def memory_request(self, _bundle: Bundle) -> None:
        """Ask for no memory."""

    def peak_bytes(self) -> int:
        """Have taken no memory."""
        return 0


def ours(trials: int) -> dict[str, Any]:
    """Run the engine with ledger, tables and progress on."""
    spec = parse_spec(
        {
            "name": "overhead",
            "data": "none",
            "fixed": {"epochs": REPORTS},
            "space": {"learning_rate": {"low": 1e-6, "high": 1.0, "log": True}},
            "searcher": {"name": "random", "samples": trials},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        with Ledger(run) as ledger, ray_session(object_store_bytes=STORE_BYTES):
            sweep = Sweep(spec, fingerprint="none", commit=ledger.append)
            sweep.begin()
            with Progress(sweep) as progress:
                chores = Chores(run, sweep, ("a", "b"), progress, Loggers(run, sweep))
                watch = _Watch(sweep, chores)
                drive(
                    sweep,
                    run=run,
                    slots=find_slots(spec),
                    make_training=TrivialTrainings(),
                    on_step=watch.step,
                )
    return watch.figures()


class _Watch:
    """Notes time and memory each time that a trial has ended."""

    def __init__(self, sweep: Sweep, chores: Chores) -> None:
        self._sweep = sweep
        self._chores = chores
        self._marks: list[tuple[int, float, int]] = []

    def step(self) -> None:
        """Do the engine's chores; note a mark if another trial has ended."""
        self._chores.do()
        ended = len(self._sweep.trials)
        if ended and (not self._marks or ended > self._marks[-1][0]):
            self._marks.append((ended, time.perf_counter(), resident_bytes()))

    def figures(self) -> dict[str, Any]:
        """Seconds a trial in all, at the start and at the end; bytes a trial."""
        marks = self._marks
        tenth = max(1, len(marks) // 10)
        # Memory settles in the first tenth, while caches and workers come up.
        first, last = marks[tenth], marks[-1]
        return {
            "seconds": _slope(marks[0], last, 1),
            "seconds_at_start": _slope(first, marks[2 * tenth], 1),
            "seconds_at_end": _slope(marks[-1 - tenth], last, 1),
            "bytes": _slope(first, last, 2),
        }


def _slope(first: tuple[int, float, int], last: tuple[int, float, int], column: int) -> float:
    return float(last[column] - first[column]) / max(1, last[0] - first[0])


def bare(trials: int) -> dict[str, Any]:
    """Run Ray Tune with reused actors and without its loggers: the floor below any engine."""
    with ray_session(object_store_bytes=STORE_BYTES), tempfile.TemporaryDirectory() as folder:
        return _fit(_Trivial, trials, folder, reuse_actors=True)


def stock(trials: int) -> dict[str, Any]:
    """Run Ray Tune as its documentation shows it: a function that reports."""
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _fit(_report, trials, folder, reuse_actors=None)
    finally:
        ray.shutdown()


class _Trivial(ray.tune.Trainable):
    def setup(self, _config: dict[str, Any]) -> None:
        self._epoch = 0

    def reset_config(self, _new_config: dict[str, Any]) -> bool:
        self._epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        self._epoch += 1
        return {"value": 0.5, "done": self._epoch == REPORTS}


def _report(_config: dict[str, Any]) -> None:
    for _ in range(REPORTS):
        ray.tune.report({"value": 0.5})


class _Clock(ray.tune.Callback):
    first: float | None = None

    def on_trial_result(self, **_: Any) -> None:
        self.first = self.first or time.perf_counter()


def _fit(trainable: Any, trials: int, folder: str, *, reuse_actors: bool | None) -> dict[str, Any]:
    clock = _Clock()
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(trainable, {"cpu": 1}),
        param_space={"learning_rate": ray.tune.loguniform(1e-6, 1.0)},
        tune_config=ray.tune.TuneConfig(num_samples=trials, reuse_actors=reuse_actors),
        run_config=ray.tune.RunConfig(
            storage_path=folder,
            verbose=0,
            callbacks=[clock],
            checkpoint_config=ray.tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    assert clock.first is not None, "Ray ran no trial"
    return {"seconds": (time.perf_counter() - clock.first) / trials}


def run(trials: int = 200, many: int = 5000) -> Iterator[Result]:
    """Measure all sides on ``trials`` trials, and our growth over ``many``."""
    sides = {"bare Ray, reused actors": bare, "stock ray.tune.Tuner": stock}
    mine = in_process(ours, trials)
    others = {name: in_process(side, trials)["seconds"] for name, side in sides.items()}
    growth = in_process(ours, many)
    yield Result(
        name="overhead",
        unit="seconds a trial",
        ours=mine["seconds"],
        others=others,
        smaller_is_better=True,
        details={
            "trials": trials,
            "reports a trial": REPORTS,
            f"over {many} trials, bytes a trial": round(growth["bytes"]),
            f"over {many} trials, seconds a trial at the start": growth["seconds_at_start"],
            f"over {many} trials, seconds a trial at the end": growth["seconds_at_end"],
        },
    )
