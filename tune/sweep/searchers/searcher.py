"""What a searcher is: it hears what became of its points, and proposes the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tune.sweep.space import Point


@dataclass(frozen=True, kw_only=True)
class KnownTrial:
    """A finished trial of another run, as a searcher hears of it."""

    point: Point
    curve: Sequence[float]
    """The first objective after each epoch; larger is better."""
    values: Sequence[float] | None
    """Each objective at its end, larger being better; None if it was not trained whole."""


class Searcher(Protocol):
    """Proposes points of a search space.

    Its whole knowledge is what it heard, and each proposal is seeded from the sweep's seed and the
    proposal's number, so hearing a ledger again rebuilds it to the last digit.
    """

    size: int
    """Most points that it will propose."""

    def propose(self, number: int) -> Point | None:
        """Return the point of proposal ``number`` (from 0), or None if the space is used up."""
        ...

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Learn another run's results; called once at most, before the first proposal."""
        ...

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Take note that a point is being trained."""
        ...

    def hear_skipped(self, point: Point) -> None:
        """Take note that a proposed point makes a configuration that is trained already."""
        ...

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], values: Sequence[float] | None
    ) -> None:
        """Take note of a trial's end.

        Args:
            trial_id: The trial.
            curve: The first objective after each epoch; larger is better.
            values: Each objective at its end, larger being better; None if the trial was not
                trained whole.
        """
        ...
