"""Decides when a sweep must stop because its Slurm allocation is about to end."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from fairsweep.errors import UserError
from tune.launch.slurm import margin_seconds
from tune.run.trial import Status
from tune.session.status import RunWatch

_ASK_SECONDS = 60.0
"""Time between two queries for the end of the job, which an administrator may change."""


class Deadline:
    """Decides when to stop: two epochs and a margin before the end of the allocation."""

    def __init__(self, end: Callable[[], float | None], run: Path) -> None:
        """Start watching.

        Args:
            end: Returns when the allocation ends, in seconds since 1970; None if unknown.
            run: The run directory, which tells how long epochs take.
        """
        self._ask_end = end
        self._run = run
        self._begun = time.time()
        self._watch: RunWatch | None = None
        self._next_look = 0.0
        self._signalled = False
        self._end: float | None = None
        self._leave: float | None = None

    def signal(self) -> None:
        """Record Slurm's signal, which may come up to a minute early."""
        self._signalled = True
        self._next_look = 0.0

    def leave(self) -> bool:
        """Return whether it is time to stop the sweep."""
        now = time.time()
        if now >= self._next_look:
            self._next_look = now + _ASK_SECONDS
            self._end = self._ask_end() or self._end  # Slurm may not answer for a while.
            self._leave = None if self._end is None else self._end - self._time_to_leave()
        if self._leave is None:
            return self._signalled
        return now >= self._leave

    def seconds_left(self) -> float:
        """Return the seconds until the allocation ends; infinite if the end is unknown."""
        return math.inf if self._end is None else self._end - time.time()

    def _time_to_leave(self) -> float:
        assert self._end is not None
        length = self._end - self._begun
        return min(margin_seconds(length) + 2 * self._longest_epoch(), length / 2)

    def _longest_epoch(self) -> float:
        """Return the longest of the running trials' last epochs, in seconds."""
        try:
            self._watch = self._watch or RunWatch(self._run)
            self._watch.status()
        except UserError:
            return 0.0  # The sweep has not started.
        trials = self._watch.sweep.trials.values()
        running = [t.last for t in trials if t.status is Status.RUNNING and t.last is not None]
        return max((last.values["seconds"] for last in running), default=0.0)
