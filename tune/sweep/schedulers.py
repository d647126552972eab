"""Schedulers decide which trials are stopped early; they compare trials at equal epochs only.

To add one, write a function that makes it from its settings, and add a line to `SCHEDULERS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tune.sweep.spec import SchedulerSpec, SpecError, SweepSpec


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The reason to stop a trial: its value was below a threshold set by other trials."""

    epoch: int
    value: float
    needed: float
    rule: str


class Scheduler(Protocol):
    """Receives each trial's objective after each epoch, and decides whether the trial stops.

    A scheduler has no other state, so replaying a ledger restores it.
    """

    rungs: tuple[int, ...]
    """Epochs at which trials are compared."""
    survivors: float
    """Expected share of the trials at a rung that continue."""

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Record ``value`` (larger is better); return the reason if the trial should stop."""
        ...


class NoScheduler:
    """Trains every trial to its end."""

    rungs: tuple[int, ...] = ()
    survivors = 1.0

    def hear(self, trial_id: str, epoch: int, value: float) -> None:
        """Stop nothing."""


class Asha:
    """Asynchronous successive halving in its stopping form.

    At each rung (``grace_period`` × ``reduction_factor`` ** k epochs) a trial continues if it is
    among the best 1 / ``reduction_factor`` of all trials that have reached this rung so far. The
    first ``reduction_factor`` - 1 trials at a rung always continue.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020. The
    stopping form and its quantile are those of Ray Tune's `AsyncHyperBandScheduler` with one
    bracket, except that Ray Tune can stop the second trial at a rung.
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
        """Compare the trial with those that reached this rung before it."""
        if epoch not in self._seen:
            return None
        rung = self._seen[epoch]
        rung[trial_id] = value if np.isfinite(value) else -np.inf
        if len(rung) < self.reduction_factor:
            return None
        needed = _quantile(list(rung.values()), self.reduction_factor)
        if rung[trial_id] >= needed:
            return None
        share = f"the best 1/{self.reduction_factor} of the {len(rung)} trials there so far"
        return Cut(epoch=epoch, value=value, needed=needed, rule=f"the threshold of {share}")


def _quantile(values: list[float], reduction_factor: int) -> float:
    """Return the value that the best 1 / ``reduction_factor`` of ``values`` reach, interpolated."""
    finite = [value for value in values if value > -np.inf]
    if not finite:
        return -np.inf
    return float(np.percentile(finite, 100 * (1 - 1 / reduction_factor)))


class MedianStopping:
    """Stops a trial whose best value so far is below the median of the others' running means.

    At every epoch from the grace period on, compares the trial's best value so far with the running
    means of all other trials that have reached this epoch. The trial stops if its value is strictly
    worse than their median. With ``at: best``, the values are those of the best epoch so far.

    Source: Golovin et al., "Google Vizier", KDD 2017, section 3.2.2. As in Ray Tune's
    `MedianStoppingRule`, all other trials count, not only completed ones.
    """

    survivors = 1.0  # The number of stops is unpredictable, so assume none.

    def __init__(self, *, grace_period: int, min_trials: int, epochs: int) -> None:
        self.rungs = tuple(range(grace_period, epochs))
        self._min_trials = min_trials
        self._best: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._means: list[dict[str, float]] = [{} for _ in range(epochs + 1)]

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Compare the trial with the others that reached this epoch before it."""
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
        rule = f"the median of the averages of {len(others)} other trials up to then"
        return Cut(epoch=epoch, value=best, needed=needed, rule=rule)


def make_scheduler(spec: SweepSpec) -> Scheduler:
    """Make the scheduler that a spec names.

    Raises:
        SpecError: It is unknown, or does not fit another part of the spec.
    """
    name = spec.scheduler.name
    if name not in SCHEDULERS:
        raise SpecError(f"scheduler must be one of {', '.join(SCHEDULERS)}, but got {name!r}")
    if name != "none" and len(spec.objectives) > 1:
        raise SpecError(
            f"scheduler {name!r} cannot be used with several objectives, because a trial that is "
            "worse in one may be better in another; use scheduler none"
        )
    return SCHEDULERS[name].make(spec.scheduler, spec.most_epochs)


@dataclass(frozen=True, kw_only=True)
class SchedulerKind:
    """An entry of the registry of schedulers."""

    make: Callable[[SchedulerSpec, int], Scheduler]
    """Makes the scheduler from its settings and the epochs of a complete training."""
    words: str
    """Description that follows "with" in a sentence."""


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
"""Name in the spec → scheduler."""
