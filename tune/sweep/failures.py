"""When failures tell that the others would fail too: the same crash, or the same error in a row."""

from collections.abc import Iterable

from tune.run.trial import Status, Trial

ALIKE = 5
"""So many trials in a row that fail with the same error stop their sweep."""


class AlikeFailures:
    """The trials that failed last, as long as they failed with the same error.

    An error that trials had when the driver session began does not stop the sweep again.
    """

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._accepted = {_gist(t.reason) for t in trials if t.status is Status.FAILED}
        self._gist = ""
        self._count = 0

    def accept_none(self) -> None:
        """Let every error stop the sweep, since failed trials are trained once more."""
        self._accepted.clear()

    def forget(self) -> None:
        """Begin anew: a trial has ended in another way."""
        self._count = 0

    def hear(self, error: str) -> str | None:
        """Take note that a trial failed; return why the sweep should stop, if it should."""
        gist = _gist(error)
        self._count = self._count + 1 if gist == self._gist else 1
        self._gist = gist
        if self._count < ALIKE or gist in self._accepted:
            return None
        return (
            f"the last {self._count} trials failed alike ({gist}); mend the cause "
            "and give --retry-failed to train them once more"
        )


class Faults:
    """The signal that last ended a trial's worker: the same crash is not tried a third time."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str | None, int]] = {}

    def is_second(self, trial: Trial, fault: str | None) -> bool:
        """Take note of an attempt's fault, if any; return whether the last one was the same.

        Args:
            trial: The trial.
            fault: Name of the signal of a fault that ended its worker.
        """
        moment = (fault, len(trial.measurements))
        second = fault is not None and self._last.get(trial.id) == moment
        self._last[trial.id] = moment
        return second


def _gist(error: str) -> str:
    """Return an error without the file that holds all of it, which each trial has its own of."""
    return error.partition(" (all of it in ")[0]
