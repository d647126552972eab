"""Follows a run for the live page: what has changed in it since the page asked last."""

import itertools
import math
import os
from pathlib import Path
from typing import Any

from tune.run.directory import LEDGER_FILE, RunError
from tune.run.objective import sign
from tune.run.trial import Status, Trial
from tune.session.status import RunWatch

_CURVES = 20
"""Most curves of running trials, and most of the best trials."""
_LAST_LINES = 12
_TAIL_BYTES = 1 << 14

_versions = itertools.count(1)
"""Versions of trials. One count for all followers, so that a page never has a later one."""


class Follower:
    """Follows one run; each call of `news` reads only new lines of its ledger."""

    def __init__(self, run: Path) -> None:
        """Read the ledger as it is now; raises the errors of `RunWatch`."""
        self._ledger = run / LEDGER_FILE
        if not self._ledger.is_file():
            raise RunError(f"{run} has no ledger; it was removed, or its sweep has not begun")
        self._file = self._state()
        self._watch = RunWatch(run)
        self._name = str(next(_versions))
        self._seen: dict[str, tuple[Status, int, bool]] = {}
        self._changed: dict[str, int] = {}

    @property
    def outdated(self) -> bool:
        """Whether the ledger was removed, replaced or cut, so that the run must be read again."""
        try:
            inode, size = self._state()
        except FileNotFoundError:
            return True
        replaced = inode != self._file[0] or size < self._file[1]
        self._file = inode, size
        return replaced

    def news(self, since: int) -> dict[str, Any]:
        """Return the run's status, and the trials that have changed after version ``since``.

        ``follower`` changes when the run was read again, so that a page forgets what it has.
        ``curves`` has the objective metric by epoch of running trials and of the best ones.
        """
        status = self._watch.status()
        alive, sweep = status["running"], self._watch.sweep
        for trial in sweep.trials.values():
            now = trial.status, len(trial.measurements), alive
            if self._seen.get(trial.id) != now:
                self._seen[trial.id], self._changed[trial.id] = now, next(_versions)
        rows = [
            self._row(sweep.trials[id_], alive) for id_, at in self._changed.items() if at > since
        ]
        found: dict[str, Any] = _finite(
            {
                "follower": self._name,
                "version": max(self._changed.values(), default=since),
                "status": status,
                "metric": sweep.spec.objective.metric,
                "sign": sign(sweep.spec.objective),
                "trials": rows,
                "curves": self._curves(alive),
                "lines": self._last_lines(),
            }
        )
        return found

    def _row(self, trial: Trial, alive: bool) -> dict[str, Any]:
        status = trial.status
        if status is Status.RUNNING and not alive:
            status = Status.INTERRUPTED
        return {
            "id": trial.id,
            "trial": f"{trial.name} {trial.draw}",
            "status": str(status),
            "epoch": len(trial.measurements),
            "epochs": trial.epochs,
            "value": self._watch.sweep.objective(trial),
            "seconds": round(trial.seconds, 1),
            "where": f"{trial.host} {trial.device}".strip(),
            "reason": trial.reason,
        }

    def _curves(self, alive: bool) -> list[dict[str, Any]]:
        sweep = self._watch.sweep
        best = sweep.ranked(sweep.trials.values())[:_CURVES]
        running = [t for t in sweep.trials.values() if alive and t.status is Status.RUNNING]
        shown = {trial.id: trial for trial in [*best, *running[:_CURVES]]}
        metric, incumbent = sweep.spec.objective.metric, sweep.incumbent
        return [
            {
                "id": trial.id,
                "best": trial is incumbent,
                "points": [[m.epoch, m.values.get(metric)] for m in trial.measurements],
            }
            for trial in shown.values()
        ]

    def _state(self) -> tuple[int, int]:
        stat = self._ledger.stat()
        return stat.st_ino, stat.st_size

    def _last_lines(self) -> list[str]:
        with self._ledger.open("rb") as ledger:
            size = ledger.seek(0, os.SEEK_END)
            ledger.seek(max(0, size - _TAIL_BYTES))
            whole, _, _ = ledger.read().rpartition(b"\n")  # The driver may be writing the last one.
        return [line.decode("utf-8", "replace") for line in whole.split(b"\n")[-_LAST_LINES:]]


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
