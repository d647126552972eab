"""The time of a sweep: what new events are stamped with, and how long driver sessions worked."""

import time

from tune.run.events import (
    Event,
    FailedRetried,
    FilesLost,
    SweepExtended,
    SweepFinished,
    SweepResumed,
    SweepStarted,
    SweepStopped,
    TestOpened,
)


class Clock:
    """The wall clock as it was when this was made, plus the seconds since.

    So a step of the wall clock does not change how long a driver session seems to last.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970."""
        return round(self._offset + time.monotonic(), 3)


class WorkedTime:
    """Seconds of all driver sessions, each from its start to its last event.

    Time between two sessions does not count, whether the first of them ended or was killed.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last: float | None = None
        """Time of the session's last event; None between sessions."""

    def hear(self, event: Event) -> None:
        """Take in an event that stands in the ledger."""
        if isinstance(event, SweepStarted | SweepResumed):
            self._last = event.time
        elif isinstance(event, _BETWEEN_SESSIONS):
            self._last = None
        elif self._last is not None:
            # Earlier versions wrote times of a wall clock, which may have been set back.
            self.seconds += max(0.0, event.time - self._last)
            self._last = None if isinstance(event, _ENDS_OF_SESSIONS) else event.time


_ENDS_OF_SESSIONS = (SweepStopped, SweepFinished)
_BETWEEN_SESSIONS = (SweepExtended, FailedRetried, FilesLost, TestOpened)
"""Events that no session writes, so that one which has not ended was killed before them."""
