"""Compares simulated searches: the device-seconds that each needs for the same regret, a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search_curves import Floats

TRAININGS = 20.0
"""Length of a search, in device-seconds of a random configuration's complete training."""
GRID: Floats = np.geomspace(0.2, TRAININGS, 101)
"""Times at which regrets are compared, in the same unit."""

Regrets = Mapping[tuple[str, str], Sequence[Sequence[float]]]
"""Task and method → the regrets of each seed's search at `GRID`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Methods on the same tasks; arrays have a row per task."""

    tasks: Sequence[str]
    regret: Mapping[str, Floats]
    """Method → (tasks, grid) mean regret over seeds."""
    goal: Floats
    """(tasks,) the lowest regret that one of the ``others`` has at the end."""
    needed: Mapping[str, Floats]
    """Method → (tasks,) time at which its regret has reached the goal; infinite if it has not."""


def compare(regrets: Regrets, methods: Sequence[str], others: Sequence[str]) -> Comparison:
    """Compare methods by the time that they need for the best regret of the ``others``."""
    tasks = list(dict.fromkeys(task for task, _ in regrets))
    regret = {
        method: np.array([np.mean(regrets[task, method], axis=0) for task in tasks])
        for method in methods
    }
    goal = np.min([regret[other][:, -1] for other in others], axis=0)
    needed = {method: _time_to(curves, goal) for method, curves in regret.items()}
    return Comparison(tasks=tasks, regret=regret, goal=goal, needed=needed)


def _time_to(regret: Floats, goal: Floats) -> Floats:
    """Return when each row reaches its goal, interpolated between the points of the grid."""
    reached = regret <= goal[:, None]
    first = reached.argmax(axis=1)
    times = np.full(len(goal), np.inf)
    for row in np.flatnonzero(reached.any(axis=1)):
        at = first[row]
        if at == 0:
            times[row] = GRID[0]
            continue
        before, after = regret[row, at - 1], regret[row, at]
        share = (before - goal[row]) / (before - after)
        times[row] = np.exp(np.interp(share, [0, 1], np.log(GRID[at - 1 : at + 1])))
    return times


def mean_time(needed: Floats) -> float:
    """Return the geometric mean; a goal that was not reached counts as the end of the grid."""
    return float(np.exp(np.log(np.minimum(needed, GRID[-1])).mean()))


def interval(needed: Floats, base: Floats) -> tuple[float, float]:
    """Return the 95 % interval over tasks of the ratio of two methods' times (bootstrap)."""
    ratios = np.log(np.minimum(needed, GRID[-1]) / np.minimum(base, GRID[-1]))
    draws = np.random.default_rng(0).integers(len(ratios), size=(10_000, len(ratios)))
    low, high = np.exp(np.quantile(ratios[draws].mean(axis=1), [0.025, 0.975]))
    return float(low), float(high)


def draw(comparison: Comparison, path: Path) -> None:
    """Draw each method's regret against device-seconds: the geometric mean over tasks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for method, curves in comparison.regret.items():
        axes.plot(GRID, mean_regret(curves), label=method)
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("device-seconds, in complete trainings")
    axes.set_ylabel("regret, geometric mean over tasks")
    axes.legend(fontsize="small")
    figure.savefig(path)
    plt.close(figure)


def mean_regret(curves: Floats) -> Floats:
    """Return the geometric mean over tasks, (grid,)."""
    mean: Floats = np.exp(np.log(np.maximum(curves, 1e-4)).mean(axis=0))
    return mean
