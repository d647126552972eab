"""The interface of searchers: they receive results of trials and propose the next point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tune.sweep.space import Point


@dataclass(frozen=True, kw_only=True)
class KnownTrial:
    """A finished trial of another run, for a warm start."""

    point: Point
    curve: Sequence[float]
    """The first objective after each epoch; larger is better."""
    values: Sequence[float] | None
    """All objectives at its end, larger is better; None if it was not completed."""


class Searcher(Protocol):
    """Proposes points of a search space.

    A searcher has no other state than what was reported to it, and each proposal is seeded by the
    sweep's seed and the proposal's number. So replaying a ledger restores it exactly.
    """

    size: int
    """Maximum number of points that it proposes."""

    def propose(self, number: int) -> Point | None:
        """Return the point of proposal ``number`` (from 0), or None if there are no more."""
        ...

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Receive another run's results; called at most once, before the first proposal."""
        ...

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Receive a new trial and its point."""
        ...

    def hear_skipped(self, point: Point) -> None:
        """Receive a proposed point whose configuration the sweep already has."""
        ...

    def hear_epoch(self, trial_id: str, epoch: int, value: float) -> None:
        """Receive the first objective of a running trial after an epoch; larger is better."""
        ...

    def hear_over_limit(self, trial_id: str) -> None:
        """Receive that a trial is not trained, because it is over a limit of the spec."""
        ...

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], values: Sequence[float] | None
    ) -> None:
        """Receive the end of a trial.

        Args:
            trial_id: The trial.
            curve: The first objective after each epoch; larger is better.
            values: All objectives at its end, larger is better; None if the trial was not
                completed.
        """
        ...
