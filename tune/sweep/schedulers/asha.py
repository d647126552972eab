"""ASHA: trials that are not among the best at a rung are stopped."""

import numpy as np

from tune.sweep.schedulers.scheduler import Cut, Scheduler


class Asha(Scheduler):
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
        self.rungs = rungs_of(grace_period, reduction_factor, epochs)
        self.survivors = (1 / reduction_factor,) * len(self.rungs)
        self._seen: dict[int, dict[str, float]] = {rung: {} for rung in self.rungs}

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


def rungs_of(grace_period: int, reduction_factor: int, epochs: int) -> tuple[int, ...]:
    """Return the epochs at which trials of at most ``epochs`` epochs are compared."""
    rungs = []
    while grace_period < epochs:
        rungs.append(grace_period)
        grace_period *= reduction_factor
    return tuple(rungs)


def _quantile(values: list[float], reduction_factor: int) -> float:
    """Return the value that the best 1 / ``reduction_factor`` of ``values`` reach, interpolated."""
    finite = [value for value in values if value > -np.inf]
    if not finite:
        return -np.inf
    return float(np.percentile(finite, 100 * (1 - 1 / reduction_factor)))
