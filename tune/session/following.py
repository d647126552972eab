"""Follows a run for the live page: what has changed in it since the page asked last."""

import itertools
import math
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fairsweep.command_line import shell_path
from tune.run.directory import ERRORS_DIR, LEDGER_FILE, RunError
from tune.run.lease import holder_of
from tune.run.lookup import find_trial
from tune.run.objective import sign
from tune.run.trial import Status, Trial
from tune.session.standing import asked_of, nodes_of, rungs_of
from tune.session.status import RunWatch

_CURVES = 20
"""Most curves of running trials, and most of the best trials."""
_LAST_LINES = 12
_TAIL_BYTES = 1 << 14
_TRACEBACK_BYTES = 20_000
_KEPT_SECONDS = 3.0
"""How long news are kept if the ledger has not grown; a driver's silence is told so late."""

_versions = itertools.count(1)
"""Versions of trials. One count for all followers, so that a page never has a later one."""


class Follower:
    """Follows one run; each call of `news` reads only new lines of its ledger."""

    def __init__(self, run: Path) -> None:
        """Read the ledger as it is now; raises the errors of `RunWatch`."""
        self._run = run
        self._ledger = run / LEDGER_FILE
        if not self._ledger.is_file():
            raise RunError(f"{run} has no ledger; it was removed, or its sweep has not begun")
        self._file = self._state()
        self._watch = RunWatch(run)
        self._name = str(next(_versions))
        self._seen: dict[str, tuple[Status, int, bool]] = {}
        self._changed: dict[str, int] = {}
        self._kept: tuple[Any, float, dict[str, Any]] | None = None
        """The last news: what they depend on, until when they are kept, and themselves."""

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

    def news(self, since: int, chosen: str | None = None) -> dict[str, Any]:
        """Return the run's status, and the trials that have changed after version ``since``.

        ``follower`` changes when the run was read again, so that a page forgets what it has.
        ``curves`` has the objective metric by epoch of running trials, of the best ones and of the
        trial with the id ``chosen``, whose hyperparameters are in ``chosen``.
        """
        key = (self._state(), holder_of(self._run), chosen)
        if self._kept is None or self._kept[0] != key or time.monotonic() > self._kept[1]:
            found = self._look(chosen)
            self._kept = (key, time.monotonic() + _KEPT_SECONDS, found)
        changed = [id_ for id_, at in self._changed.items() if at > since]
        alive, sweep = self._kept[2]["status"]["running"], self._watch.sweep
        searched = sweep.spec.search_space.names() if changed else ()
        found = {
            **self._kept[2],
            "version": max(self._changed.values(), default=since),
            "trials": [self._row(sweep.trials[id_], searched, alive) for id_ in changed],
            "nodes": nodes_of(self._run, sweep, self._running(alive)),
            "asked": asked_of(self._run),
        }
        finite: dict[str, Any] = _finite(found)
        return finite

    def _look(self, chosen: str | None) -> dict[str, Any]:
        """Read new lines of the ledger; return what does not depend on what the page has."""
        status, sweep = self._watch.status(), self._watch.sweep
        alive, best = status["running"], status["best"]
        for trial in sweep.trials.values():
            now = trial.status, len(trial.measurements), alive
            if self._seen.get(trial.id) != now:
                self._seen[trial.id], self._changed[trial.id] = now, next(_versions)
        trial_chosen = sweep.trials.get(chosen or "")
        return {
            "follower": self._name,
            "status": status,
            "metric": sweep.spec.objective.metric,
            "sign": sign(sweep.spec.objective),
            "curves": self._curves(self._running(alive), trial_chosen, best and best["id"]),
            "chosen": None if trial_chosen is None else self._details(trial_chosen),
            "rungs": rungs_of(sweep),
            "retry": f"python -m tune resume {shell_path(_short(self._run))} --retry-failed",
            "lines": self._last_lines(),
        }

    def _running(self, alive: bool) -> list[Trial]:
        trials = self._watch.sweep.trials.values()
        return [trial for trial in trials if alive and trial.status is Status.RUNNING]

    def traceback(self, trial_id: str) -> str:
        """Return the end of the tracebacks of a trial's failed attempts; empty if none were kept.

        Raises:
            RunError: There is no such trial.
        """
        trial = find_trial(self._run, self._watch.sweep.trials.values(), trial_id)
        # Fused trials share the file of the first one, which the reason names.
        named = re.search(rf"{ERRORS_DIR}/([\w-]+)\.txt", trial.reason)
        path = self._run / ERRORS_DIR / f"{named[1] if named else trial.id}.txt"
        if not path.is_file():
            return ""
        text = path.read_bytes().decode("utf-8", "replace")
        return text if len(text) <= _TRACEBACK_BYTES else f"…\n{text[-_TRACEBACK_BYTES:]}"

    def _details(self, trial: Trial) -> dict[str, Any]:
        searched = self._watch.sweep.spec.search_space.names()
        config = {name: trial.config[name] for name in searched if name in trial.config}
        return {"id": trial.id, "searched": config}

    def _row(self, trial: Trial, searched: Iterable[str], alive: bool) -> dict[str, Any]:
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
            "config": _config_words(trial, searched),
            "reason": trial.reason,
        }

    def _curves(
        self, running: list[Trial], chosen: Trial | None, incumbent: str | None
    ) -> list[dict[str, Any]]:
        sweep = self._watch.sweep
        best = sweep.ranked(sweep.trials.values())[:_CURVES]
        trials = [*best, *running[:_CURVES], *([chosen] if chosen else ())]
        shown = {trial.id: trial for trial in trials}
        metric = sweep.spec.objective.metric
        return [
            {
                "id": trial.id,
                "trial": f"{trial.name} {trial.draw}",
                "best": trial.id == incumbent,
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


def _config_words(trial: Trial, searched: Iterable[str]) -> str:
    """Return the searched hyperparameters in short; first the numbers that no name has."""
    own = {name: trial.config[name] for name in searched if name in trial.config}
    order = sorted(own, key=lambda name: not isinstance(own[name], float))
    shown = {
        name: f"{own[name]:.4g}" if isinstance(own[name], float) else own[name] for name in order
    }
    return ", ".join(f"{name} {value}" for name, value in shown.items() if name != "fold")


def _short(run: Path) -> Path:
    here = Path.cwd()
    return run.relative_to(here) if run.is_relative_to(here) else run


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
