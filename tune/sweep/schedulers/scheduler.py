"""What every scheduler does: it hears each trial's values, and may stop the trial."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The reason to stop a trial: its value was below a threshold set by other trials."""

    epoch: int
    value: float
    needed: float
    rule: str


class Scheduler(Protocol):
    """Receives each trial's objective after each epoch, and decides whether the trial stops.

    A scheduler has no other state, so replaying a ledger restores it.
    """

    rungs: tuple[int, ...]
    """Epochs at which trials are compared."""
    survivors: tuple[float, ...]
    """Expected share of the trials at each rung that continue, for estimates of cost."""

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Record ``value`` (larger is better); return the reason if the trial should stop."""
        ...


class NoScheduler:
    """Trains every trial to its end."""

    rungs: tuple[int, ...] = ()
    survivors: tuple[float, ...] = ()

    def hear(self, trial_id: str, epoch: int, value: float) -> None:
        """Stop nothing."""
