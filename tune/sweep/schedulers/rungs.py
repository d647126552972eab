"""What schedulers with rungs share: the epochs of comparison, and which trials reached them."""

import numpy as np

from tune.sweep.schedulers.scheduler import Scheduler


class RungScheduler(Scheduler):
    """Compares trials at rungs of ``grace_period`` × ``reduction_factor`` ** k epochs."""

    def __init__(self, *, grace_period: int, reduction_factor: int, epochs: int) -> None:
        self.reduction_factor = reduction_factor
        self.rungs = rungs_of(grace_period, reduction_factor, epochs)
        self.survivors = (1 / reduction_factor,) * len(self.rungs)
        self._reached: dict[int, dict[str, float]] = {rung: {} for rung in self.rungs}
        """Rung → the values of the trials that have reached it; a diverged one counts as -inf."""

    def _record(self, trial_id: str, epoch: int, value: float) -> dict[str, float] | None:
        """Record a trial that reaches a rung; return all values there, or None between rungs."""
        rung = self._reached.get(epoch)
        if rung is not None:
            rung[trial_id] = value if np.isfinite(value) else -np.inf
        return rung


def rungs_of(grace_period: int, reduction_factor: int, epochs: int) -> tuple[int, ...]:
    """Return the epochs at which trials of at most ``epochs`` epochs are compared."""
    rungs = []
    while grace_period < epochs:
        rungs.append(grace_period)
        grace_period *= reduction_factor
    return tuple(rungs)
