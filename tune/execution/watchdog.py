"""Notices trials that make no progress."""

import time
from collections import Counter
from collections.abc import Callable

PATIENCE = 20
"""A trial is stuck after this many times the epoch that it took longest for."""
LEAST_SECONDS = 120.0
"""No trial is stuck before this, however short its epochs are."""
FIRST_SECONDS = 3600.0
"""The first attempt at a trial is stuck if its first epoch has not ended after this."""
STOP_SECONDS = 60.0
"""Workers that are told to stop have at least this long to end their epoch."""
STOP_EPOCHS = 3
"""And this many times the epoch that they took longest for."""
STALL_SECONDS = 10.0
"""A driver that has not looked for so long, as while it waits for disk space, heard nobody."""


class Watchdog:
    """Knows how long each running trial has been silent, and how long its epochs take.

    Before its first epoch ends nobody knows how long it takes: the first attempt has an hour, and
    each further one four times as long, so that a slow epoch ends in one of them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._longest: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._kills: Counter[str] = Counter()
        self._looked = clock()

    def begin(self, trial_id: str) -> None:
        """Note that a worker has taken a trial up, or that it has waited for memory until now."""
        self._begun[trial_id] = self._clock()

    def hear(self, trial_id: str, seconds: float) -> None:
        """Note that a trial has trained an epoch in so many seconds."""
        self._begun.pop(trial_id, None)
        self._heard[trial_id] = self._clock()
        self._longest[trial_id] = max(seconds, self._longest.get(trial_id, 0.0))

    def end(self, trial_id: str) -> None:
        """Watch a trial no longer."""
        self._begun.pop(trial_id, None)
        self._heard.pop(trial_id, None)
        self._longest.pop(trial_id, None)

    def stuck(self) -> list[str]:
        """Return the trials that have been silent for too long; asked many times a second."""
        now = self._clock()
        if (stall := now - self._looked) > STALL_SECONDS:
            self._heard = {one: heard + stall for one, heard in self._heard.items()}
            self._begun = {one: begun + stall for one, begun in self._begun.items()}
        self._looked = now
        silent = self._heard | self._begun
        return [one for one, since in silent.items() if now - since > self._limit(one)]

    def killed(self, trial_id: str) -> float:
        """Note that a stuck trial's worker is killed; return for how many seconds it was silent."""
        silent = self._clock() - (self._heard | self._begun)[trial_id]
        self._kills[trial_id] += trial_id in self._begun
        self.end(trial_id)
        return silent

    def late_to_stop(self, seconds: float) -> list[str]:
        """Return the trials that should have ended ``seconds`` after they were told to stop."""
        of_any = max(self._longest.values(), default=0.0)
        return [
            one
            for one in self._heard | self._begun
            if seconds > max(STOP_SECONDS, STOP_EPOCHS * self._longest.get(one, of_any))
        ]

    def _limit(self, trial_id: str) -> float:
        if trial_id in self._begun:
            of_any = max(self._longest.values(), default=0.0)
            return float(max(FIRST_SECONDS * 4 ** self._kills[trial_id], PATIENCE * of_any))
        return max(LEAST_SECONDS, PATIENCE * self._longest[trial_id])
