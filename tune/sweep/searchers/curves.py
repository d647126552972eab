"""The base of searchers that learn from every epoch of every trial, trained whole or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tune.sweep.searchers.sampled import SampledSearcher
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.space import Point, SearchSpace


@dataclass(kw_only=True)
class Trained:
    """A trial as a searcher knows it."""

    point: Point
    curve: dict[int, float] = field(default_factory=dict)
    """Epoch → first objective; larger is better; finite."""
    ended: bool = False

    @property
    def reached(self) -> int:
        """The last epoch with a value; 0 without one."""
        return max(self.curve, default=0)


class CurveSearcher(SampledSearcher):
    """Keeps the curve of each trial, from its first epoch on. Subclasses override `draw`."""

    def __init__(self, space: SearchSpace, *, samples: int, seed: int) -> None:
        super().__init__(space, samples=samples, seed=seed)
        self._trials: dict[str, Trained] = {}

    @property
    def trials(self) -> Mapping[str, Trained]:
        """The trials that have not failed, in the order of their proposals."""
        return self._trials

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Keep the curves of another run."""
        for number, known in enumerate(trials):
            curve = dict(enumerate(known.curve, start=1))
            if curve:
                self._trials[f"known {number}"] = Trained(
                    point=known.point, curve=curve, ended=True
                )

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Add the trial; one that is trained further keeps its curve."""
        super().hear_proposed(trial_id, point)
        self._trials.setdefault(trial_id, Trained(point=point)).ended = False

    def hear_epoch(self, trial_id: str, epoch: int, value: float) -> None:
        """Add a point to the trial's curve, unless it is not a number."""
        if np.isfinite(value):
            self._trials[trial_id].curve[epoch] = value

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], _values: Sequence[float] | None
    ) -> None:
        """Keep the trial; forget it if it has no value, as if it has failed."""
        if curve:
            self._trials[trial_id].ended = True
        else:
            del self._trials[trial_id]
