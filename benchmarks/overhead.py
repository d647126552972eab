"""The overhead of a trial: trials that train nothing, in our engine and in Ray Tune.

Each trial reports five times and does nothing else. The time per trial is measured from the first
report to the last, so that it does not include the start of Ray and the first worker.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
from tune.session.notify import Notifier
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
        """Report the same metrics for the next epoch."""
        self._epoch += 1
        values = dict.fromkeys((*MEASURED, *TIMINGS), 0.5)
        return [EpochReport(self._trial_id, self._epoch, values)]

    def end(self, _trial_id: str) -> None:
        """Do nothing: there is only one trial."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class TrivialTrainings:
    """Opens trivial trainings."""

    def __call__(self, bundle: Bundle) -> TrivialTraining:
        """Open a trivial training."""
        return TrivialTraining(bundle)

    def latency_ms(self, bundle: Bundle) -> float:
        """Refuse: this benchmark times no networks."""
        raise NotImplementedError(bundle)

    def probe(self, bundle: Bundle) -> Fusing:
        """Decide that fusing gains nothing."""
        return Fusing(trials=tuple(bundle.trials), fused=False, gain=0.0)

    def memory_request(self, _bundle: Bundle) -> None:
        """Request no memory."""

    def peak_bytes(self) -> int:
        """Report that no memory was used."""
        return 0


def ours(trials: int) -> dict[str, Any]:
    """Run our engine with ledger, tables and progress display."""
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
                tellers = Loggers(run, sweep), Notifier(run, sweep)
                chores = Chores(run, sweep, ("a", "b"), progress, *tellers)
                watch = _Watch(sweep, chores)
                drive(
                    sweep,
                    run=run,
                    slots=find_slots(spec),
                    make_training=TrivialTrainings(),
                    on_step=watch.step,
                )
    return watch.figures()


class _Mark(NamedTuple):
    """Time and memory when a trial had ended."""

    ended: int
    """Trials that had ended."""
    seconds: float
    bytes: int


class _Watch:
    """Records a mark each time that a trial has ended."""

    def __init__(self, sweep: Sweep, chores: Chores) -> None:
        self._sweep = sweep
        self._chores = chores
        self._marks: list[_Mark] = []

    def step(self) -> None:
        """Do the engine's chores, and record a mark if another trial has ended."""
        self._chores.do()
        ended = len(self._sweep.trials)
        if ended and (not self._marks or ended > self._marks[-1].ended):
            self._marks.append(_Mark(ended, time.perf_counter(), resident_bytes()))

    def figures(self) -> dict[str, Any]:
        """Return seconds per trial overall, at the start and at the end, and bytes per trial."""
        marks = self._marks
        tenth = max(1, len(marks) // 10)
        # Memory is not stable in the first tenth, while caches and workers start.
        first, last = marks[tenth], marks[-1]
        return {
            "seconds": _seconds_per_trial(marks[0], last),
            "seconds_at_start": _seconds_per_trial(first, marks[2 * tenth]),
            "seconds_at_end": _seconds_per_trial(marks[-1 - tenth], last),
            "bytes": (last.bytes - first.bytes) / max(1, last.ended - first.ended),
        }


def _seconds_per_trial(first: _Mark, last: _Mark) -> float:
    return (last.seconds - first.seconds) / max(1, last.ended - first.ended)


def bare(trials: int) -> dict[str, Any]:
    """Run Ray Tune with reused actors and without its loggers: a lower bound for any engine."""
    with ray_session(object_store_bytes=STORE_BYTES), tempfile.TemporaryDirectory() as folder:
        return _fit(_Trivial, trials, folder, reuse_actors=True)


def stock(trials: int) -> dict[str, Any]:
    """Run Ray Tune as in its documentation, with a function that reports."""
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
    """Measure all sides on ``trials`` trials, and how our cost grows over ``many`` trials."""
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
