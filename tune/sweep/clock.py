"""Time stamps of events, and the total time of driver sessions."""

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
    """The wall clock at construction, plus the monotonic seconds since then.

    This way, setting the wall clock does not change the measured length of a driver session.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970."""
        return round(self._offset + time.monotonic(), 3)


class SimulatedClock(Clock):
    """A clock that stands still until an executor sets it, for simulations."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Return the simulated seconds since the start."""
        return round(self.seconds, 3)


class WorkedTime:
    """Total seconds of all driver sessions, each from its start to its last event.

    Time between sessions does not count, even if a session was killed.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last: float | None = None
        """Time of the session's last event; None between sessions."""

    def hear(self, event: Event) -> None:
        """Add the time of an event of the ledger."""
        if isinstance(event, FailedRetried):
            return  # It is in a session or before one; the next event shows which.
        if isinstance(event, SweepStarted | SweepResumed):
            self._last = event.time
        elif isinstance(event, _BETWEEN_SESSIONS):
            self._last = None
        elif self._last is not None:
            # Earlier versions wrote wall-clock times, so the clock may have been set back.
            self.seconds += max(0.0, event.time - self._last)
            self._last = None if isinstance(event, _ENDS_OF_SESSIONS) else event.time


_ENDS_OF_SESSIONS = (SweepStopped, SweepFinished)
_BETWEEN_SESSIONS = (SweepExtended, FilesLost, TestOpened)
"""Events that are written outside of sessions; a session without an end was killed before them."""
