"""Schedulers: which trials are stopped early. Each compares trials at the same epoch only.

To add one, write a function that makes it from its settings, and a line in `SCHEDULERS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tune.sweep.spec import SchedulerSpec, SpecError, SweepSpec


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Why a trial should stop: its value fell short of what this many trials set at this epoch."""

    epoch: int
    value: float
    needed: float
    rule: str


class Scheduler(Protocol):
    """Hears each trial's objective after each epoch and says whether the trial should stop.

    Its whole knowledge is what it heard, so hearing a ledger again rebuilds it.
    """

    rungs: tuple[int, ...]
    """Epochs at which trials are compared."""
    survivors: float
    """Share of the trials at a rung that can be expected to go on."""

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Take note of ``value`` (larger is better); return why the trial should stop, or None."""
        ...


class NoScheduler:
    """Trains every trial to its end."""

    rungs: tuple[int, ...] = ()
    survivors = 1.0

    def hear(self, trial_id: str, epoch: int, value: float) -> None:
        """Stop nothing."""


class Asha:
    """Asynchronous successive halving in its stopping form.

    At each rung (``grace_period`` × ``reduction_factor`` ** k epochs) a trial goes on if it is
    among the best 1 / ``reduction_factor`` of all that have come to this rung so far. The first
    that come there, fewer than ``reduction_factor``, all go on.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; the
    stopping form and its quantile as in Ray Tune's `AsyncHyperBandScheduler` with one bracket,
    which however stops the second trial at a rung already if it is worse than the first.
    """

    def __init__(self, *, grace_period: int, reduction_factor: int, epochs: int) -> None:
        self.reduction_factor = reduction_factor
        self.survivors = 1 / reduction_factor
        rungs = []
        while grace_period < epochs:
            rungs.append(grace_period)
            grace_period *= reduction_factor
        self.rungs = tuple(rungs)
        self._seen: dict[int, dict[str, float]] = {rung: {} for rung in rungs}

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Compare the trial with those that came to this rung before it."""
        if epoch not in self._seen:
            return None
        rung = self._seen[epoch]
        rung[trial_id] = value if np.isfinite(value) else -np.inf
        if len(rung) < self.reduction_factor:
            return None
        needed = _quantile(list(rung.values()), self.reduction_factor)
        if rung[trial_id] >= needed:
            return None
        rule = f"the best 1/{self.reduction_factor} of the {len(rung)} trials there so far"
        return Cut(epoch=epoch, value=value, needed=needed, rule=rule)


def _quantile(values: list[float], reduction_factor: int) -> float:
    """Return the value that the best 1 / ``reduction_factor`` of ``values`` reach.

    Interpolated between neighbours.
    """
    finite = [value for value in values if value > -np.inf]
    if not finite:
        return -np.inf
    return float(np.percentile(finite, 100 * (1 - 1 / reduction_factor)))


class MedianStopping:
    """Stops a trial whose best so far is below the median of what the others averaged so far.

    From the grace period on, at every epoch: if the trial's best value by then is strictly worse
    than the median, over the others that came to this epoch, of the mean of their values up to it.
    The values are the objective's, so those of the best epoch so far under ``at: best``.

    Source: Golovin et al., "Google Vizier", KDD 2017, section 3.2.2; with all other trials that
    came so far, as in Ray Tune's `MedianStoppingRule`, and not only those that completed.
    """

    survivors = 1.0  # How many it stops depends on how curves cross; so expect the costliest.

    def __init__(self, *, grace_period: int, min_trials: int, epochs: int) -> None:
        self.rungs = tuple(range(grace_period, epochs))
        self._min_trials = min_trials
        self._best: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._means: list[dict[str, float]] = [{} for _ in range(epochs + 1)]

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Compare the trial with the others that came to this epoch before it."""
        number = value if np.isfinite(value) else -np.inf
        best = self._best[trial_id] = max(number, self._best.get(trial_id, -np.inf))
        self._sums[trial_id] = self._sums.get(trial_id, 0.0) + number
        means = self._means[epoch]
        means[trial_id] = self._sums[trial_id] / epoch
        others = [mean for other, mean in means.items() if other != trial_id]
        if epoch not in self.rungs or len(others) < self._min_trials:
            return None
        needed = float(np.median(others))
        if best >= needed:
            return None
        rule = f"the median of what {len(others)} others averaged up to then"
        return Cut(epoch=epoch, value=best, needed=needed, rule=rule)


def make_scheduler(spec: SweepSpec) -> Scheduler:
    """Make the scheduler that a spec asks for.

    Raises:
        SpecError: It is unknown, or does not go with something else in the spec.
    """
    name = spec.scheduler.name
    if name not in SCHEDULERS:
        raise SpecError(f"scheduler must be one of {', '.join(SCHEDULERS)}, but got {name!r}")
    if name != "none" and len(spec.objectives) > 1:
        raise SpecError(
            f"scheduler {name!r} does not go with several objectives: a trial that trails in one "
            "may lead in another; take scheduler none"
        )
    space = spec.search_space
    epochs = max(
        spec.config(space.at(point), seed=spec.seed).epochs for point in space.samples_of_each()
    )
    return SCHEDULERS[name].make(spec.scheduler, epochs)


@dataclass(frozen=True, kw_only=True)
class SchedulerKind:
    """A scheduler as the registry knows it."""

    make: Callable[[SchedulerSpec, int], Scheduler]
    """Makes it from its settings and the epochs of a whole training."""
    words: str
    """What it does, to go on with after *with*."""


SCHEDULERS: dict[str, SchedulerKind] = {
    "none": SchedulerKind(make=lambda _spec, _epochs: NoScheduler(), words="no early stopping"),
    "asha": SchedulerKind(
        make=lambda spec, epochs: Asha(
            grace_period=spec.grace_period, reduction_factor=spec.reduction_factor, epochs=epochs
        ),
        words="early stopping by ASHA",
    ),
    "median": SchedulerKind(
        make=lambda spec, epochs: MedianStopping(
            grace_period=spec.grace_period, min_trials=spec.min_trials, epochs=epochs
        ),
        words="early stopping by the median rule",
    ),
}
"""Name in the spec → the scheduler."""
