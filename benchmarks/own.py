"""Own training code: the plain PyTorch example in our engine, and as a bare loop.

The sides train the same trials in turn, one of each at a time, on one CPU thread: the driver trains
a bare one whenever a trial of the sweep has ended. Our seconds are those from there to the end of
the next trial, with handing it over, ledger, state and predictions. The overhead is measured on
code that yields five times and trains nothing.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

from benchmarks.harness import Result, in_process, write_pictures
from tune.execution.executor import SweepData
from tune.run.events import TrialEnded
from tune.run.ledger import read_events
from tune.session.session import start
from tune.sweep.spec import load_spec, parse_spec
from tune.sweep.sweep import Sweep

EXAMPLE = Path(__file__).parents[1] / "examples" / "torch_training.yaml"
TRIVIAL = "def train(*, rate: float):\n    while True:\n        yield {'val_accuracy': rate}\n"
REPORTS = 5
PICTURES = 2000


def rates(trials: int) -> list[float]:
    """Return a learning rate for each trial."""
    return [0.001 + 0.0001 * number for number in range(trials)]


class _Moment(NamedTuple):
    """Seconds since some moment: of the clock, and of CPU time here and in Ray's workers."""

    wall: float
    here: float
    workers: float

    @classmethod
    def now(cls) -> "_Moment":
        processes = psutil.Process().children(recursive=True)
        workers = [each for each in processes if each.name().startswith("ray::")]
        return cls(time.perf_counter(), time.process_time(), sum(map(_cpu_seconds, workers)))

    def after(self, other: "_Moment") -> "_Moment":
        return _Moment(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class _InTurn:
    """Trains on Ray; trains a bare trial before each trial of the sweep."""

    def __init__(self, train_bare: Callable[[float], None], trials: int) -> None:
        self._train_bare = train_bare
        self._rates = rates(trials)
        self._since = _Moment.now()
        self.bare: list[_Moment] = []
        self.ours: list[_Moment] = []

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """See `Executor.execute`."""
        from tune.execution.ray_executor import RayExecutor

        def step() -> None:
            on_step()
            ended = sum(trial.ended for trial in sweep.trials.values())
            if ended == len(self.bare):
                self._next(ended)

        RayExecutor().execute(sweep, run, data, on_step=step)

    def _next(self, ended: int) -> None:
        now = _Moment.now()
        if ended > len(self.ours):
            self.ours.append(now.after(self._since))
        if ended < len(self._rates):
            self._train_bare(self._rates[ended])
            self._since = _Moment.now()
            self.bare.append(self._since.after(now))


def both(data: Path, trials: int, epochs: int) -> dict[str, Any]:
    """Train with the example's function alone, and in a sweep on Ray, in turn."""
    import torch

    torch.set_num_threads(1)
    train = import_module("examples.torch_training").train

    def train_bare(rate: float) -> None:
        for _ in train(learning_rate=rate, epochs=epochs, seed=0, data=str(data), device="cpu"):
            pass

    changes = [
        f"data={data}",
        f"fixed.epochs={epochs}",
        f"space={{learning_rate: {rates(trials)}}}",
        "scheduler=none",
        "replicates=1",
        "resources={cpus: 1, trials_at_once: 1}",
    ]
    sides = _InTurn(train_bare, trials)
    with tempfile.TemporaryDirectory() as folder:
        _prepare(folder)
        start(load_spec(EXAMPLE, changes), Path(folder) / "runs", executor=sides)
    # The first trials warm up.
    return {"bare": sides.bare[2:], "ours": sides.ours[2:]}


def trivial(trials: int) -> dict[str, Any]:
    """Return the seconds from the end of one trial that trains nothing to the end of the next."""
    with tempfile.TemporaryDirectory() as folder:
        _prepare(folder)
        (Path(folder) / "trivial.py").write_text(TRIVIAL, encoding="utf-8")
        spec = parse_spec(
            {
                "name": "trivial",
                "train": "trivial:train",
                "fixed": {"epochs": REPORTS},
                "space": {"rate": rates(trials)},
                "resources": {"cpus": 1, "trials_at_once": 1},
            },
            folders=[Path(folder)],
        )
        run, _ = start(spec, Path(folder) / "runs")
        ends = [event.time for event in read_events(run) if isinstance(event, TrialEnded)]
        return {"seconds": [after - before for before, after in pairwise(ends)]}


def _prepare(folder: str) -> None:
    os.environ["XDG_CONFIG_HOME"] = folder
    # Ray would give our side less CPU time than the bare loop when other programs run.
    os.environ.setdefault("RAY_worker_niceness", "0")


def run(trials: int = 25, epochs: int = 6, many: int = 200) -> Iterator[Result]:
    """Measure both sides in turn, and the overhead of a trial."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pictures"
        write_pictures(data, PICTURES)
        sides = in_process(both, data, trials, epochs)
    overhead = in_process(trivial, many)["seconds"]
    bare, ours = (median(each.wall for each in sides[name]) for name in ("bare", "ours"))
    work, alone = (
        median(each.workers for each in sides["ours"]),
        median(each.here for each in sides["bare"]),
    )
    yield Result(
        name="own",
        unit="seconds a trial (median)",
        ours=ours,
        others={"bare loop": bare},
        smaller_is_better=True,
        details={
            "trials of a side": len(sides["ours"]),
            "epochs a trial": epochs,
            "pictures": PICTURES,
            "more than the bare loop, % (medians)": round(100 * (ours / bare - 1), 2),
            "CPU seconds a trial in the worker (median)": work,
            "CPU seconds a trial of the bare loop (median)": alone,
            "more CPU time than the bare loop, %": round(100 * (work / alone - 1), 2),
            "overhead of a trial that trains nothing, seconds (median)": round(median(overhead), 4),
            "reports of such a trial": REPORTS,
            "load average": round(os.getloadavg()[0], 1),
        },
    )
