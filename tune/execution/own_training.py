"""Trains one trial with the user's own training code, a generator that yields after each epoch."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairsweep.errors import UserError
from fairsweep.training import Epoch
from tune.execution.executor import (
    AttemptFailedError,
    EpochReport,
    TrainingOverError,
)
from tune.execution.memory import OutOfMemoryError
from tune.execution.own_epochs import read_epoch, read_metrics, read_predictions_of
from tune.execution.own_failures import failures_kept
from tune.execution.own_state import load_state, save_state
from tune.run.directory import CHECKPOINTS_DIR, STOP_FILE, predictions_file
from tune.run.objective import Objective, sign
from tune.run.tables import write_table

SAVE_SHARE = 0.02
"""Largest share of the training time that saving the states of own code takes."""
FIRST_SAVE_SECONDS = 0.02
"""Assumed time of the first save, so that a trial of less than a second writes no state."""


@dataclass(frozen=True, kw_only=True)
class OwnTrial:
    """A trial that own code trains."""

    id: str
    what: str
    """Reference of the code, for messages."""
    start: Callable[[Any], Any]
    """Calls the code with the state that it last gave, or None; returns its generator."""
    epochs: int
    ends_with_epochs: bool
    """Whether the code gets the number of epochs, so that it cannot continue after them."""
    device: str
    pauses_after: frozenset[int] = frozenset()
    """See `Bundle.pauses_after`."""


class OwnTraining:
    """Drives the generator of own code, and writes its state and its best predictions."""

    parameters: int | None = None

    def __init__(
        self,
        *,
        run: Path,
        trial: OwnTrial,
        objective: Objective,
        needed: Sequence[str],
        classes: Sequence[str],
    ) -> None:
        """Continue from the last state, or start without one.

        Args:
            run: The run directory.
            trial: The trial and its code.
            objective: Selects the epoch whose predictions are kept.
            needed: Metrics that each epoch must have.
            classes: Class names of the dataset; empty if they are not known.

        Raises:
            AttemptFailedError: The code raises an exception or is no generator.
        """
        self.device = trial.device
        self._run, self._trial = run, trial
        self._objective, self._needed, self._classes = objective, needed, classes
        self._state_file = run / CHECKPOINTS_DIR / trial.id / "last.pt"
        self._epoch = self._saved_epoch = 0
        self._best: float | None = None
        self._given: Epoch | None = None
        self._values: dict[str, float] = {}
        self._saved_at, self._save_seconds = time.monotonic(), FIRST_SAVE_SECONDS
        self._restored: list[EpochReport] = []
        with self._failures():
            state = self._restore()
            self._generator = _check_generator(trial.start(state))

    def advance(self) -> list[EpochReport]:
        """Train one epoch, keep its predictions if it is the best, and write its state when due.

        After a restart, the epoch of the state is reported again, because the earlier process may
        have died before the epoch was in the ledger.

        Raises:
            AttemptFailedError: The code raises an exception, or yields what cannot be kept.
            OutOfMemoryError: The code runs out of memory.
            TrainingOverError: The code ends before the last epoch.
        """
        if self._restored:
            reports, self._restored = self._restored, []
            return reports
        over = False
        with self._failures():
            started = time.perf_counter()
            try:
                given = next(self._generator)
            except StopIteration:
                over = True
            else:
                self._hear(given, time.perf_counter() - started)
        if over:
            self._end_early()
        return [EpochReport(self._trial.id, self._epoch, self._values)]

    def end(self, trial_id: str) -> None:
        """Do nothing: a trial of own code is always alone."""

    def close(self) -> None:
        """End the generator; if the run is stopping, write the state first."""
        try:
            if self._stop_requested():
                self._save()
        finally:
            # The trial is over, so an exception here is kept in its file and changes nothing.
            with suppress(AttemptFailedError, OutOfMemoryError), self._failures():
                self._generator.close()

    def _hear(self, given: Any, seconds: float) -> None:
        epoch = self._given = read_epoch(given)
        metrics = read_metrics(epoch.metrics, self._needed)
        self._epoch += 1
        self._values = {**metrics, "seconds": seconds}
        self._keep_best(epoch, metrics[self._objective.metric])
        is_last = self._epoch >= self._trial.epochs
        may_pause = self._epoch in self._trial.pauses_after
        if is_last or self._stop_requested() or may_pause or self._due():
            self._save()

    def _end_early(self) -> None:
        if self._epoch:
            raise TrainingOverError(
                f"{self._trial.what} returned after epoch {self._epoch} of {self._trial.epochs}"
            )
        with self._failures():
            raise UserError("returned without a yield; yield the metrics after each epoch")

    def _keep_best(self, epoch: Epoch, value: float) -> None:
        """Write the predictions of the best epoch before the epoch is reported.

        So they are complete whenever the process is killed.
        """
        better = self._best is None or self._objective.at == "last"
        better = better or sign(self._objective) * (value - (self._best or 0.0)) > 0
        if not np.isfinite(value) or not better:
            return
        self._best = value
        if epoch.predictions is not None:
            table = read_predictions_of(epoch.predictions, self._epoch, self._classes)
            write_table(table, predictions_file(self._run, self._trial.id))

    def _restore(self) -> Any:
        """Return the last state of the code; None if there is none."""
        saved = load_state(self._state_file)
        if saved is None:
            return None
        self._epoch = self._saved_epoch = saved["epoch"]
        self._best, self._values = saved["best"], saved["values"]
        self._restored = [EpochReport(self._trial.id, self._epoch, self._values)]
        return saved["state"]

    def _save(self) -> None:
        """Write the state of the last epoch, unless the trial cannot continue from it."""
        given, trial = self._given, self._trial
        if given is None or given.state is None or self._epoch == self._saved_epoch:
            return
        if self._epoch >= trial.epochs and trial.ends_with_epochs:
            return
        started = time.monotonic()
        values = {"epoch": self._epoch, "best": self._best, "values": self._values}
        save_state(self._state_file, {**values, "state": given.state})
        self._saved_epoch = self._epoch
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def _due(self) -> bool:
        return self._save_seconds <= SAVE_SHARE * (time.monotonic() - self._saved_at)

    def _stop_requested(self) -> bool:
        return (self._run / STOP_FILE).exists()

    def _failures(self) -> Any:
        return failures_kept(self._run, self._trial.id, self._trial.what)


def _check_generator(returned: Any) -> Generator[Any, None, None]:
    if not isinstance(returned, Generator):
        raise UserError(
            "must be a generator, which yields after each epoch, but returned "
            f"{type(returned).__name__}; use yield instead of return (docs/own_training.md)"
        )
    return returned
