"""Grid search: every point of the space once, in order."""

from collections.abc import Sequence

from tune.sweep.searchers.sampled import key_of
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.space import Point, SearchSpace


class GridSearcher:
    """Every point of the space once; the last hyperparameter varies fastest."""

    def __init__(self, space: SearchSpace) -> None:
        self._left = {key_of(point): point for point in space.grid()}
        self.size = len(self._left)

    def propose(self, _number: int) -> Point | None:
        """Return the first point that has not been proposed."""
        return next(iter(self._left.values()), None)

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Do nothing, because a grid does not depend on results."""

    def hear_proposed(self, _trial_id: str, point: Point) -> None:
        """Remove the point."""
        self._left.pop(key_of(point), None)

    def hear_skipped(self, point: Point) -> None:
        """Remove the point."""
        self._left.pop(key_of(point), None)

    def hear_over_limit(self, trial_id: str) -> None:
        """Do nothing, because a grid does not depend on results."""

    def hear_epoch(self, trial_id: str, epoch: int, value: float) -> None:
        """Do nothing, because a grid does not depend on results."""

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], values: Sequence[float] | None
    ) -> None:
        """Do nothing, because a grid does not depend on results."""
