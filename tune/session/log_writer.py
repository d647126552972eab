"""The interface of what writes the logs of trials in a library's format."""

from collections.abc import Iterable
from typing import Any, Protocol

from tune.run.trial import Measurement, Status, Trial


class LogWriter(Protocol):
    """Writes the logs of trials in a library's format.

    After an exception, the logs of all trials that have not ended are begun again.
    """

    notes: str
    """Name of the file in the logger's folder that lists the log of each trial."""

    def begin(self, trial: Trial, old: str | None) -> str:
        """Open the log of a trial, replace the log ``old`` if there is one, and return its name."""
        ...

    def log(self, trial: Trial, measurements: Iterable[Measurement]) -> None:
        """Add measurements to a trial's log, and flush them to disk or send them."""
        ...

    def end(self, trial: Trial, objective: float | None) -> None:
        """Add the trial's objective to its log, and close the log."""
        ...

    def close(self) -> None:
        """Close the logs of trials that have not ended."""
        ...


NOTES_FILE = "logged.jsonl"
"""Usual name of the notes."""


def given(trial: Trial) -> dict[str, Any]:
    """Return the hyperparameters that are not None, which not all libraries support."""
    return {name: value for name, value in trial.config.items() if value is not None}


def is_useful(trial: Trial) -> bool:
    """Return whether an ended trial counts as finished, and not as failed."""
    return trial.status in (Status.COMPLETED, Status.EARLY_STOPPED)
