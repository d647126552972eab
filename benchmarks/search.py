"""Simulated searches on learning curves: regret against device-seconds, beside other tools.

Our `Sweep` and the other tools' own searchers and schedulers run in the same in-process executor,
with a simulated clock and without training. There are two kinds of curves: grids of small networks
that we trained whole (`benchmarks/curves/`), and LCBench's surrogate of YAHPO Gym (Zimmer et al.
2021; Pfisterer et al. 2022), an ONNX file with a JSON file beside it that names its tasks and
space.

Each tool chooses by validation values; the regret of its choice is counted on test values: of
LCBench without noise, of our grids on other pictures. Device-seconds are workers times seconds, in
units of a complete training of a random configuration. The figure of a side is how many of these
it needs for the regret that the best other tool has at the end (`GRID`): the geometric mean over
tasks.
"""

import json
import logging
import multiprocessing
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks import search_peers as peers
from benchmarks.curves_table import FOLDER, TableTask
from benchmarks.harness import RESULTS, Result
from benchmarks.rounds import INTERVALS
from benchmarks.search_curves import Floats, SurrogateTask, Task, describe
from benchmarks.search_regret import (
    GRID,
    Comparison,
    Regrets,
    compare,
    draw,
    interval,
    mean_regret,
    mean_time,
)
from benchmarks.search_sides import Oracle, OtherTool, Side, Trainings, Watched, ours
from fairsweep.errors import UserError
from tune.execution.executor import SweepData
from tune.execution.in_process import InProcessExecutor
from tune.sweep.clock import SimulatedClock
from tune.sweep.sweep import Sweep

OURS: Mapping[str, Callable[..., Sweep]] = {
    "auto": partial(ours, searcher="auto"),
    "mobster + asha": partial(ours, searcher="mobster", name="asha", reduction_factor=3),
    "bohb + asha": partial(ours, searcher="bohb", name="asha"),
    "tpe + asha": partial(ours, searcher="tpe", name="asha"),
    "random + asha": partial(ours, searcher="random", name="asha"),
    "tpe + hyperband": partial(ours, searcher="tpe", name="hyperband"),
    "tpe + promotion": partial(ours, searcher="tpe", name="promotion"),
    "random + hyperband": partial(ours, searcher="random", name="hyperband"),
    "random + promotion": partial(ours, searcher="random", name="promotion"),
}
ORACLE = "oracle"
OTHERS: Mapping[str, Callable[..., OtherTool]] = {
    "Ray Tune ASHA with Optuna": peers.RayTune,
    "Optuna TPE with Hyperband": peers.Optuna,
    "Syne Tune ASHA": partial(peers.SyneTune, name="ASHA"),
    "Syne Tune MOBSTER": partial(peers.SyneTune, name="MOBSTER"),
    "Syne Tune HyperTune": partial(peers.SyneTune, name="HyperTune"),
}
WORKERS = (1, 4, 16)
SEEDS = 30


@dataclass(frozen=True, kw_only=True)
class Job:
    """One simulated search."""

    lcbench: str | None
    task: str
    method: str
    workers: int
    seed: int


def simulate(job: Job) -> list[float]:
    """Run a search; return the regret of its choice at each point of `GRID`."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    task = _task(job.lcbench, job.task)
    watched = run_side(task, job.method, workers=job.workers, seed=job.seed)
    regret: list[float] = _regret(task, watched, job.workers).tolist()
    return regret


def grids() -> dict[str, Path]:
    """Return the tasks whose curves come with the benchmarks, and their files."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.parquet"))}


@cache
def _task(lcbench: str | None, name: str) -> Task:
    known = grids()
    if name in known:
        return TableTask(known[name])
    if lcbench is None:
        raise UserError(
            f"without --lcbench, task must be one of {', '.join(known)}, but got {name!r}"
        )
    return SurrogateTask(Path(lcbench), name)


def run_side(task: Task, method: str, *, workers: int, seed: int) -> Watched:
    """Run a method on a task until the last point of `GRID`."""
    side: Side
    names: Mapping[str, str] = {name: name for name in task.space}
    if method in OURS:
        side, names = OURS[method](task, seed=seed), task.carriers
    else:
        side = Oracle(task, seed=seed) if method == ORACLE else OTHERS[method](task, seed=seed)
    clock = SimulatedClock()
    horizon = GRID[-1] * task.mean_seconds / workers
    watched = Watched(side=side, clock=clock, horizon=horizon)
    executor = InProcessExecutor(
        workers=workers, make_training=Trainings(task=task, names=names), clock=clock
    )
    # The executor calls only the methods of `Side`, and no data is read.
    executor.execute(cast(Sweep, watched), Path(), cast(SweepData, None), on_step=lambda: None)
    return watched


def _regret(task: Task, watched: Watched, workers: int) -> Floats:
    seconds, validation, test = np.array(watched.epochs).T
    leads = validation >= np.maximum.accumulate(validation)
    at = workers * seconds[leads] / task.mean_seconds
    places = np.searchsorted(at, GRID, side="right") - 1
    # Before the first epoch, nothing is known, so the choice is as bad as the worst.
    regret: Floats = task.best - np.where(
        places < 0, test.min(), test[leads][np.maximum(places, 0)]
    )
    return regret


def run(
    lcbench: Path | None = None,
    tasks: Sequence[str] = (),
    seeds: int = SEEDS,
    workers: Sequence[int] = WORKERS,
    methods: Sequence[str] = (),
    known: Path | None = None,
    processes: int | None = None,
) -> Iterator[Result]:
    """Simulate every method on every task; yield the comparison.

    Args:
        lcbench: The surrogate's ONNX file; None for our own grids alone.
        tasks: Names of tasks; our own and all that the JSON file names if there are none.
        seeds: Searches of each method on each task.
        workers: Numbers of workers.
        methods: Names of methods; all that are installed if there are none.
        known: A file of earlier searches, which are not repeated; new ones are appended.
        processes: Processes that simulate at the same time; None for one a core.

    Raises:
        UserError: The surrogate is missing, or does not know a task; a method is unknown.

    Yields:
        A result for each number of workers.
    """
    surrogate = None if lcbench is None else str(lcbench)
    theirs = [] if lcbench is None else list(describe(lcbench)["tasks"])
    names = list(tasks) or [*grids(), *theirs]
    if not names:
        raise UserError("there are no curves here; give --lcbench FILE")
    for name in names:
        _task(surrogate, name)
    known_methods = [*OURS, *installed(), ORACLE]
    chosen = list(methods) or known_methods
    if unknown := set(chosen) - set(known_methods):
        raise UserError(
            f"method must be one of {', '.join(known_methods)}, but got {min(unknown)!r}; "
            "Syne Tune has to be installed in version 0.13, the last one with MOBSTER"
        )
    for count in workers:
        jobs = [
            Job(lcbench=surrogate, task=task, method=method, workers=count, seed=seed)
            for seed, task, method in product(range(seeds), names, chosen)
        ]
        regrets = _simulated(jobs, known, processes)
        comparison = compare(regrets, chosen, [each for each in chosen if each in OTHERS])
        draw(comparison, RESULTS / f"search_{count}_workers.png")
        yield _result(comparison, count, seeds)


def _result(comparison: Comparison, workers: int, seeds: int) -> Result:
    needed = comparison.needed
    default = next(iter(needed))
    return Result(
        name=f"search_{workers}_workers",
        unit="device-seconds to the goal, in complete trainings",
        ours=mean_time(needed[default]),
        others={name: mean_time(times) for name, times in needed.items() if name != default},
        smaller_is_better=True,
        details={
            "goal": "the lowest mean regret that another tool has at the end",
            "ours": default,
            "tasks": comparison.tasks,
            "seeds": seeds,
            "not reached": {
                name: missed
                for name, times in needed.items()
                if (missed := int(np.isinf(times).sum()))
            },
            # One task says nothing of others.
            INTERVALS: {
                name: [round(end, 2) for end in interval(times, needed[default])]
                for name, times in needed.items()
                if len(comparison.tasks) > 1
            },
            "regret after 1, 2, 5, 10, 20": {
                name: [float(f"{value:.3g}") for value in _regret_at(curves)]
                for name, curves in comparison.regret.items()
            },
            "goal of each task": _rounded(comparison.goal),
            "trainings to it": {name: _rounded(times) for name, times in needed.items()},
        },
    )


def _rounded(values: Floats) -> list[float | None]:
    return [float(f"{value:.3g}") if np.isfinite(value) else None for value in values]


def _regret_at(curves: Floats) -> list[float]:
    return np.interp([1, 2, 5, 10, 20], GRID, mean_regret(curves)).tolist()


def installed() -> list[str]:
    """Return the other tools that this Python has; of Syne Tune, only versions with MOBSTER."""
    known = find_spec("syne_tune") is not None
    if known:
        from syne_tune.optimizer import baselines

        known = hasattr(baselines, "MOBSTER")
    return [name for name in OTHERS if known or not name.startswith("Syne Tune")]


def _simulated(jobs: Sequence[Job], known: Path | None, processes: int | None) -> Regrets:
    """Run the jobs that ``known`` lacks, and append them to it."""
    found = _read(known)
    left = [job for job in jobs if _key(job) not in found]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.search"])
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = {pool.submit(simulate, job): job for job in left}
        for future in as_completed(running):
            key, regret = _key(running[future]), future.result()
            found[key] = regret
            if known is not None:
                with known.open("a", encoding="utf-8") as file:
                    file.write(
                        json.dumps([*key, [float(f"{value:.5g}") for value in regret]]) + "\n"
                    )
    regrets: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for job in jobs:
        regrets[job.task, job.method].append(found[_key(job)])
    return regrets


def _key(job: Job) -> tuple[str, str, int, int]:
    return job.task, job.method, job.workers, job.seed


def _read(known: Path | None) -> dict[tuple[str, str, int, int], list[float]]:
    if known is None or not known.exists():
        return {}
    lines = known.read_text(encoding="utf-8").splitlines()
    return {tuple(key): regret for *key, regret in map(json.loads, lines)}
