"""ASHA: trials that are not among the best at a rung are stopped."""

import numpy as np

from tune.sweep.schedulers.rungs import RungScheduler
from tune.sweep.schedulers.scheduler import Cut


class Asha(RungScheduler):
    """Asynchronous successive halving in its stopping form.

    At each rung (``grace_period`` × ``reduction_factor`` ** k epochs) a trial continues if it is
    among the best 1 / ``reduction_factor`` of all trials that have reached this rung so far. The
    first ``reduction_factor`` - 1 trials at a rung always continue.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020. The
    stopping form and its quantile are those of Ray Tune's `AsyncHyperBandScheduler` with one
    bracket, except that Ray Tune can stop the second trial at a rung.
    """

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Compare the trial with those that reached this rung before it."""
        rung = self._record(trial_id, epoch, value)
        if rung is None or len(rung) < self.reduction_factor:
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
