"""The regular tasks of a driver session, done while trials run."""

import time
from pathlib import Path

from tune.run.directory import RETRY_FILE, STOP_FILE, requests_in
from tune.session.disk import needed_bytes, wait_for_space
from tune.session.keeping import Keeper
from tune.session.loggers import Loggers
from tune.session.notify import Notifier
from tune.session.progress import Progress
from tune.session.status import STOP_REASON
from tune.session.tables import write_tables
from tune.sweep.sweep import Sweep

_TABLES_SHARE = 0.02
"""Largest share of a session's time spent on writing tables while trials run."""
_LOOK_SECONDS = 0.2
"""Least time between two checks for stop requests and updates of the progress."""
_LOOK_SHARE = 0.05
"""Share of a session's time for these checks, which take longer the more trials there are."""
_LONGEST_LOOK_SECONDS = 2.0
"""Most time between two checks, so that a request to stop is soon heard."""


class Chores:
    """Regular tasks beside the trials: progress, logs, tables, disk, budget, stop requests."""

    def __init__(
        self,
        run: Path,
        sweep: Sweep,
        classes: tuple[str, ...],
        progress: Progress,
        loggers: Loggers,
        notifier: Notifier,
    ) -> None:
        self._run = run
        self._sweep = sweep
        self._classes = classes
        self._progress = progress
        self._loggers = loggers
        self._notifier = notifier
        self._keeper = Keeper(run, sweep)
        self._next_look = 0.0
        self._next_tables = 0.0

    def do(self) -> None:
        """Do the tasks that are due; cheap enough to be called at any time."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._look_for_a_stop()
        self._look_for_retries()
        wait_for_space(
            self._run,
            needed_bytes(self._sweep),
            tell=self._progress.tell,
            give_up=self._asked_to_stop,
        )
        self._progress.update()
        self._loggers.update()
        self._notifier.update()
        self._keeper.tidy()
        pause = min((time.monotonic() - now) / _LOOK_SHARE, _LONGEST_LOOK_SECONDS)
        if now >= self._next_tables:
            write_tables(self._run, self._sweep, self._classes)
            took = time.monotonic() - now
            self._next_tables = now + max(5.0, took / _TABLES_SHARE)
        self._next_look = time.monotonic() + max(_LOOK_SECONDS, pause)

    def _asked_to_stop(self) -> bool:
        self._look_for_a_stop()
        return self._sweep.stopping is not None

    def _look_for_a_stop(self) -> None:
        for request in self._run.glob(f"{STOP_FILE}-*"):
            self._stop_trial(request)
        if self._sweep.stopping is not None:
            (self._run / STOP_FILE).touch()  # Workers then write a checkpoint and stop.
            return
        if (self._run / STOP_FILE).exists():
            self._sweep.stop(STOP_REASON)
        elif spent := self._sweep.budget_spent():
            self._sweep.stop(spent, as_designed=True)
            (self._run / STOP_FILE).touch()

    def _look_for_retries(self) -> None:
        requests = requests_in(self._run, RETRY_FILE)
        # A sweep that has finished trains no more, even if a request comes before its driver ends.
        if not requests or self._sweep.stopping is not None or self._sweep.finished:
            return
        for request in requests:
            _, one, trial_id = request.name.partition("-")
            if not one or trial_id in self._sweep.trials:
                self._sweep.retry_failed(trial_id or None)
            request.unlink()

    def _stop_trial(self, request: Path) -> None:
        trial = self._sweep.trials.get(request.name.removeprefix(f"{STOP_FILE}-"))
        if trial is None or trial.ended:
            request.unlink()
        else:
            self._sweep.stop_trial(trial.id, "stopped by hand")
