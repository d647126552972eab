"""Detects repeated failures: the same crash of a trial, or the same error in many trials."""

from collections.abc import Iterable

from tune.run.trial import Status, Trial

ALIKE = 5
"""Number of consecutive trials with the same error that stops the sweep."""


class AlikeFailures:
    """The most recent trials, while all of them fail with the same error.

    Errors that trials already had when the driver session began do not stop the sweep again.
    """

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._accepted = {_gist(t.reason) for t in trials if t.status is Status.FAILED}
        self._gist = ""
        self._count = 0

    def accept_none(self) -> None:
        """Count all errors from now on, because failed trials are trained again."""
        self._accepted.clear()

    def forget(self) -> None:
        """Start counting again after a trial ended in another way."""
        self._count = 0

    def hear(self, error: str) -> str | None:
        """Record a failed trial; return the reason if the sweep should stop."""
        gist = _gist(error)
        self._count = self._count + 1 if gist == self._gist else 1
        self._gist = gist
        if self._count < ALIKE or gist in self._accepted:
            return None
        return (
            f"the last {self._count} trials failed with the same error ({gist}); remove the cause "
            "and resume with --retry-failed to train them again"
        )


class Faults:
    """The last crash of each trial's worker; the same crash is not retried twice."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str | None, int]] = {}

    def forget(self, trial_id: str) -> None:
        """Forget the trial's last crash, because the user asked to train it again."""
        self._last.pop(trial_id, None)

    def is_second(self, trial: Trial, fault: str | None) -> bool:
        """Record the crash of an attempt, if any; return whether the previous one was the same.

        Args:
            trial: The trial.
            fault: Name of the fatal signal, if its worker crashed.
        """
        moment = (fault, len(trial.measurements))
        second = fault is not None and self._last.get(trial.id) == moment
        self._last[trial.id] = moment
        return second


def _gist(error: str) -> str:
    """Return an error message without the path of the traceback, which differs between trials."""
    return error.partition(" (all of it in ")[0]
