"""Schedulers: which trials are stopped early. Each compares trials at the same epoch only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tune.spec import SchedulerSpec


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

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Take note of ``value`` (larger is better); return why the trial should stop, or None."""
        ...


class NoScheduler:
    """Trains every trial to its end."""

    rungs: tuple[int, ...] = ()

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


SCHEDULERS: dict[str, Callable[[SchedulerSpec, int], Scheduler]] = {
    "none": lambda _spec, _epochs: NoScheduler(),
    "asha": lambda spec, epochs: Asha(
        grace_period=spec.grace_period, reduction_factor=spec.reduction_factor, epochs=epochs
    ),
}
"""Name in the spec → function of its settings and the epochs of a whole training."""
