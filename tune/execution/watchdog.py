"""Notices trials that make no progress."""

import time
from collections.abc import Callable

PATIENCE = 20
"""A trial is stuck after this many times the epoch that it took longest for."""
LEAST_SECONDS = 120.0
"""No trial is stuck before this, however short its epochs are."""
STALL_SECONDS = 10.0
"""A driver that has not looked for so long, as while it waits for disk space, heard nobody."""


class Watchdog:
    """Knows how long each running trial has been silent, and how long its epochs take.

    A trial is watched from the end of its first epoch: before that it may wait for memory, and
    nobody knows how long it will take.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._longest: dict[str, float] = {}
        self._looked = clock()

    def hear(self, trial_id: str, seconds: float) -> None:
        """Note that a trial has trained an epoch in so many seconds."""
        self._heard[trial_id] = self._clock()
        self._longest[trial_id] = max(seconds, self._longest.get(trial_id, 0.0))

    def end(self, trial_id: str) -> None:
        """Watch a trial no longer."""
        self._heard.pop(trial_id, None)
        self._longest.pop(trial_id, None)

    def stuck(self) -> list[str]:
        """Return the trials that have been silent for too long; asked many times a second."""
        now = self._clock()
        if (stall := now - self._looked) > STALL_SECONDS:
            self._heard = {one: heard + stall for one, heard in self._heard.items()}
        self._looked = now
        return [one for one, heard in self._heard.items() if now - heard > self._limit(one)]

    def _limit(self, trial_id: str) -> float:
        return max(LEAST_SECONDS, PATIENCE * self._longest[trial_id])
