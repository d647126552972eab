"""The median rule: trials below the median of the others are stopped."""

import numpy as np

from tune.sweep.schedulers.scheduler import Cut, Scheduler


class MedianStopping(Scheduler):
    """Stops a trial whose best value so far is below the median of the others' running means.

    At every epoch from the grace period on, compares the trial's best value so far with the running
    means of all other trials that have reached this epoch. The trial stops if its value is strictly
    worse than their median. With ``at: best``, the values are those of the best epoch so far.

    Source: Golovin et al., "Google Vizier", KDD 2017, section 3.2.2. As in Ray Tune's
    `MedianStoppingRule`, all other trials count, not only completed ones.
    """

    def __init__(self, *, grace_period: int, min_trials: int, epochs: int) -> None:
        self.rungs = tuple(range(grace_period, epochs))
        # The number of stops is unpredictable, so assume none.
        self.survivors = (1.0,) * len(self.rungs)
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
