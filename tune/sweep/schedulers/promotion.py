"""ASHA in its promotion form: trials pause at a rung, and the best of them are taken up again."""

from collections.abc import Collection

from tune.sweep.schedulers.rungs import RungScheduler
from tune.sweep.schedulers.scheduler import Cut


class Promotion(RungScheduler):
    """Pauses trials at rungs; one is promoted when it is among the best of its rung.

    The rungs are those of `Asha`. Of n trials that have reached a rung so far, the best
    n // ``reduction_factor`` go on (equal values all do). The others pause with their checkpoint,
    and the better ones go on once enough trials have reached the rung. So a trial that falls behind
    at first may still be trained whole. At the end of the search, the best trial of a rung goes on
    however few there are, and then the foremost, until there are as many complete trials as
    finalists.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
    Algorithm 2, except that a trial that may go on at once is not paused before.
    """

    pauses = True

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Compare the trial with those that reached this rung before it."""
        rung = self._record(trial_id, epoch, value)
        if rung is None:
            return None
        enough = len(rung) >= self.reduction_factor
        return None if enough and self._is_best(trial_id, epoch) else self._cut(trial_id, epoch)

    def take_up(self, paused: Collection[str], *, last: bool) -> str | None:
        """Return the best trial of the highest rung that has one to promote."""
        for epoch in reversed(self.rungs):
            rung = self._reached[epoch]
            if not last and len(rung) < self.reduction_factor:
                continue
            here = [trial_id for trial_id in paused if self._paused_at(trial_id) == epoch]
            best = max(here, key=rung.__getitem__, default=None)
            if best is not None and self._is_best(best, epoch):
                return best
        return None

    def foremost(self, paused: Collection[str]) -> str:
        """See `Scheduler.foremost`; of equal trials, the one that paused first."""

        def standing(trial_id: str) -> tuple[int, float]:
            epoch = self._paused_at(trial_id)
            return epoch, self._reached[epoch][trial_id]

        return max(paused, key=standing)

    def why_paused(self, trial_id: str) -> Cut:
        """Return why a paused trial has not been promoted so far."""
        return self._cut(trial_id, self._paused_at(trial_id))

    def _paused_at(self, trial_id: str) -> int:
        """Return the last rung that a trial has reached."""
        return max(epoch for epoch, rung in self._reached.items() if trial_id in rung)

    def _is_best(self, trial_id: str, epoch: int) -> bool:
        return self._reached[epoch][trial_id] >= self._needed(epoch)

    def _needed(self, epoch: int) -> float:
        """Return the value of the last trial at a rung that goes on; at least one does."""
        values = sorted(self._reached[epoch].values(), reverse=True)
        return values[max(1, len(values) // self.reduction_factor) - 1]

    def _cut(self, trial_id: str, epoch: int) -> Cut:
        rung = self._reached[epoch]
        share = f"the best 1/{self.reduction_factor} of the {len(rung)} trials there"
        return Cut(
            epoch=epoch,
            value=rung[trial_id],
            needed=self._needed(epoch),
            rule=f"the threshold of {share}",
            pauses=True,
        )
