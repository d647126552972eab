"""The interface of schedulers: they hear each trial's values, and stop or pause it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The reason to stop a trial: its value was below a threshold set by other trials."""

    epoch: int
    value: float
    needed: float
    rule: str
    pauses: bool = False
    """Whether the trial only pauses, and may be taken up again."""


class Scheduler(Protocol):
    """Receives each trial's objective after each epoch, and decides whether the trial stops.

    A scheduler has no other state, so replaying a ledger restores it.
    """

    rungs: tuple[int, ...] = ()
    """Epochs at which trials are compared."""
    survivors: tuple[float, ...] = ()
    """Expected share of the trials at each rung that continue, for estimates of cost."""
    pauses: bool = False
    """Whether it pauses trials, so that they need a checkpoint at each rung."""

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Record ``value`` (larger is better); return the reason if the trial should stop."""
        ...

    def take_up(self, paused: Collection[str], *, last: bool) -> str | None:
        """Return the paused trial that should be trained further now; None if none should.

        Args:
            paused: The trials that are paused, in the order in which they paused.
            last: Whether nothing else is left to train, so that no further trial will reach a rung.
        """
        raise LookupError(f"{paused} cannot be paused with this scheduler (last: {last})")

    def foremost(self, paused: Collection[str]) -> str:
        """Return the paused trial to train further if one must be: the best at the highest rung."""
        raise LookupError(f"{paused} cannot be paused with this scheduler")

    def why_paused(self, trial_id: str) -> Cut:
        """Return why a paused trial has not been taken up so far."""
        raise LookupError(f"{trial_id} cannot be paused with this scheduler")


class NoScheduler(Scheduler):
    """Trains every trial to its end."""

    def hear(self, trial_id: str, epoch: int, value: float) -> None:
        """Stop nothing."""
