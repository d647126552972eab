"""Notices trials that make no progress."""

import time
from collections import Counter
from collections.abc import Callable

PATIENCE = 20
"""A trial is stuck after this many times its longest epoch."""
LEAST_SECONDS = 120.0
"""A trial is never stuck before this time, however short its epochs are."""
FIRST_SECONDS = 3600.0
"""The first attempt at a trial is stuck if its first epoch takes longer than this."""
STOP_SECONDS = 60.0
"""Workers of a stopping sweep have at least this time to end their epoch."""
STOP_EPOCHS = 3
"""They also have this many times their longest epoch."""
STALL_SECONDS = 10.0
"""If the driver has not looked for this long, for example because it waits for disk space, the
time does not count against the trials."""


class Watchdog:
    """Tracks how long each running trial has been silent, and how long its epochs take.

    The duration of a first epoch is unknown. So the first attempt has an hour for it, and each
    further attempt four times as long as the one before, so that a slow epoch can end.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._longest: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._kills: Counter[str] = Counter()
        self._looked = clock()

    def begin(self, trial_id: str) -> None:
        """Record that a worker has started a trial, or that it has waited for memory until now."""
        self._begun[trial_id] = self._clock()

    def hear(self, trial_id: str, seconds: float) -> None:
        """Record that a trial has trained an epoch in ``seconds``."""
        self._begun.pop(trial_id, None)
        self._heard[trial_id] = self._clock()
        self._longest[trial_id] = max(seconds, self._longest.get(trial_id, 0.0))

    def end(self, trial_id: str) -> None:
        """Stop watching a trial."""
        self._begun.pop(trial_id, None)
        self._heard.pop(trial_id, None)
        self._longest.pop(trial_id, None)

    def stuck(self) -> list[str]:
        """Return the trials that have been silent for too long; called many times per second."""
        now = self._clock()
        if (stall := now - self._looked) > STALL_SECONDS:
            self._heard = {trial_id: heard + stall for trial_id, heard in self._heard.items()}
            self._begun = {trial_id: begun + stall for trial_id, begun in self._begun.items()}
        self._looked = now
        silent = self._heard | self._begun
        return [
            trial_id for trial_id, since in silent.items() if now - since > self._limit(trial_id)
        ]

    def killed(self, trial_id: str) -> float:
        """Record that a stuck trial's worker is killed; return how long it was silent, in s."""
        silent = self._clock() - (self._heard | self._begun)[trial_id]
        self._kills[trial_id] += trial_id in self._begun
        self.end(trial_id)
        return silent

    def late_to_stop(self, seconds: float) -> list[str]:
        """Return the trials that should have ended ``seconds`` after the sweep began to stop."""
        of_any = max(self._longest.values(), default=0.0)
        return [
            trial_id
            for trial_id in self._heard | self._begun
            if seconds > max(STOP_SECONDS, STOP_EPOCHS * self._longest.get(trial_id, of_any))
        ]

    def _limit(self, trial_id: str) -> float:
        if trial_id in self._begun:
            of_any = max(self._longest.values(), default=0.0)
            return float(max(FIRST_SECONDS * 4 ** self._kills[trial_id], PATIENCE * of_any))
        return max(LEAST_SECONDS, PATIENCE * self._longest[trial_id])
