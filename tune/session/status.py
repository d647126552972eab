"""Reads the status of a run from its ledger, on any machine, during the run and after it."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairsweep.command_line import shell_path
from tune.run.directory import LEDGER_FILE, RETRY_FILE, RUNS, STOP_FILE, RunError
from tune.run.event_lines import LineReader
from tune.run.events import Event, MeasurementTaken, SweepResumed, SweepStopped
from tune.run.lease import describe, holder_of, silent_holder
from tune.run.ledger import read_events
from tune.run.lookup import find_trial
from tune.run.trial import Status, Trial
from tune.session.imported import imported_status
from tune.session.run_directory import import_of, read_spec
from tune.sweep.replay import apply
from tune.sweep.state import SweepState

_RECENT_EPOCHS = 100
"""Number of last measurements from which the speed of a sweep is computed."""

STOP_REASON = "asked to by `tune stop`"
"""Why a sweep stops that a user has asked to."""


class RunWatch:
    """Follows a run from outside; each call of `status` reads only new lines of its ledger."""

    def __init__(self, run: Path) -> None:
        """Read the ledger as it is now.

        Raises:
            RunError: ``run`` is not a run directory.
            UserError: The ledger has a newer version, or a line has the wrong shape.
        """
        self._run = run
        self.sweep = SweepState(read_spec(run))
        self._bytes_read = 0
        self._reader = LineReader(run / LEDGER_FILE)
        self._recent: deque[float] = deque(maxlen=_RECENT_EPOCHS)
        self._read_on()

    def status(self) -> dict[str, Any]:
        """Read new events, and return the documented keys of `tune status --json` and more.

        ``curve`` is the incumbent's objective metric after each epoch, ``images_per_second`` the
        sum over all running trials, and ``seconds_left`` an estimate, or None if there are too few
        measurements. ``silence`` says since when the driver has given no sign of life, or is empty.
        ``failures`` has the reasons of trials that failed, most frequent first, with their number.
        """
        self._read_on()
        sweep, silence = self.sweep, silence_of(self._run)
        alive = not silence and holder_of(self._run) is not None
        running = [t for t in sweep.trials.values() if t.status is Status.RUNNING and alive]
        return {
            "name": sweep.spec.name,
            "finished": sweep.finished,
            "running": alive,
            "silence": silence,
            "trials": _counts(sweep, alive),
            "expected_trials": sweep.expected,
            **_best(sweep),
            "failures": _failures(sweep),
            "lost_nodes": list(sweep.lost_nodes),
            "running_trials": [_running(sweep, trial) for trial in running],
            "images_per_second": sum(
                trial.last.values.get("images_per_second", 0.0) for trial in running if trial.last
            ),
            "epochs_per_hour": 3600 * self._epochs_per_second() if alive else 0.0,
            "seconds": round(sweep.seconds, 3),
            "seconds_left": self._seconds_left() if alive else None,
            "device_seconds": round(sweep.device_seconds, 3),
            "budget": _budget(sweep),
        }

    def _read_on(self) -> None:
        for event in self._new_events():
            apply(self.sweep, event)

    def _new_events(self) -> Iterator[Event]:
        path = self._run / LEDGER_FILE
        if not path.is_file():
            return  # The start was killed before its sweep began.
        with path.open("rb") as ledger:
            ledger.seek(self._bytes_read)
            for line in ledger:
                if not line.endswith(b"\n"):
                    return  # The driver is still writing this line.
                self._bytes_read += len(line)
                event = self._reader.read(line)
                if isinstance(event, MeasurementTaken):
                    self._recent.append(event.time)
                elif isinstance(event, SweepResumed):
                    self._recent.clear()
                yield event

    def _epochs_per_second(self) -> float:
        """Return the rate of the last measurements in all slots together."""
        if len(self._recent) < 2:
            return 0.0
        return (len(self._recent) - 1) / max(1e-3, self._recent[-1] - self._recent[0])

    def _seconds_left(self) -> float | None:
        rate, epochs = self._epochs_per_second(), epochs_left(self.sweep)
        if epochs is None or not rate:
            return None
        left = epochs / rate
        limit = self.sweep.spec.budget.hours
        return left if limit is None else min(left, max(0.0, 3600 * limit - self.sweep.seconds))


def epochs_left(sweep: SweepState) -> float | None:
    """Estimate how many epochs a sweep still has to train; None without a trial.

    The ended trials give the share of their epochs that trials train on average, which includes
    early stops. This share is applied to the remaining epochs of all other trials.
    """
    if not sweep.trials:
        return None
    trials = sweep.trials.values()
    ended = [trial for trial in trials if trial.ended]
    given = sum(trial.epochs for trial in ended)
    share = sum(len(trial.measurements) for trial in ended) / given if given else 1.0
    known = sum(trial.epochs - len(trial.measurements) for trial in trials if not trial.ended)
    mean_epochs = sum(trial.epochs for trial in trials) / len(trials)
    return share * (known + mean_epochs * max(0, sweep.expected - len(trials)))


def _failures(sweep: SweepState) -> list[dict[str, Any]]:
    failed = (t.reason for t in sweep.trials.values() if t.status is Status.FAILED)
    return [{"reason": reason, "trials": n} for reason, n in Counter(failed).most_common()]


def read_sweep(run: Path) -> SweepState:
    """Read a run's sweep from its ledger; raises the errors of `RunWatch`."""
    return RunWatch(run).sweep


def run_status(run: Path) -> dict[str, Any]:
    """Return the status of a run; see `RunWatch.status`."""
    return RunWatch(run).status()


def list_runs(root: Path = RUNS) -> list[dict[str, Any]]:
    """Return the status of every run below ``root``, sorted by name.

    A run that cannot be read has only ``name`` and, under ``damage``, the reason. An imported one
    has ``imported``, the tool that it comes from.
    """
    return [_status_or_damage(path.parent) for path in sorted(root.glob(f"*/{LEDGER_FILE}"))]


def _status_or_damage(run: Path) -> dict[str, Any]:
    try:
        if (imported := import_of(run)) is not None:
            return imported_status(run, imported["tool"])
        return run_status(run)
    except (OSError, ValueError) as error:
        return {"name": run.name, "damage": str(error)}


def silence_of(run: Path) -> str:
    """Return since when a run's driver has given no sign of life; empty if it is alive or gone."""
    silent = silent_holder(run)
    if silent is None:
        return ""
    holder, heard = silent
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(heard))
    return f"{describe(holder)} has given no sign of life since {since}; it may be suspended"


def request_stop(run: Path, trial_id: str | None = None) -> None:
    """Ask the driver of a run to stop the run, or to end one of its trials early.

    Raises:
        RunError: ``run`` is not a run directory or is not running, or has no such trial, or the
            trial has ended.
    """
    sweep = read_sweep(run)
    if holder_of(run) is None:
        raise RunError(f"{_not_running(run)}, so there is nothing to stop")
    if trial_id is None:
        (run / STOP_FILE).touch()
        return
    trial = find_trial(run, sweep.trials.values(), trial_id)
    if trial.ended:
        raise RunError(f"trial {trial_id} has already ended: {trial.status}")
    (run / f"{STOP_FILE}-{trial.id}").touch()


def request_retry(run: Path, trial_id: str | None = None) -> None:
    """Ask the driver of a run to train its failed trials again, or one of them.

    Raises:
        RunError: ``run`` is not a run directory or is not running, or has no such trial, or the
            trial has not failed.
    """
    sweep = read_sweep(run)
    if holder_of(run) is None:
        raise RunError(
            f"{_not_running(run)}; `python -m tune resume {shell_path(run)} --retry-failed` "
            "trains its failed trials again"
        )
    if trial_id is None:
        (run / RETRY_FILE).touch()
        return
    trial = find_trial(run, sweep.trials.values(), trial_id)
    if trial.status is not Status.FAILED:
        raise RunError(f"trial {trial_id} has not failed: {trial.status}")
    (run / f"{RETRY_FILE}-{trial.id}").touch()


def _not_running(run: Path) -> str:
    return silence_of(run) or f"{run} is not running"


def was_asked_to_stop(run: Path, *, since: float = 0.0) -> bool:
    """Return whether `tune stop` ended the last driver session of a run.

    Args:
        run: The run directory; it need not exist.
        since: Earliest end of the session that counts, in seconds since 1970.
    """
    events = read_events(run) if (run / LEDGER_FILE).is_file() else []
    last = events[-1] if events else None
    if not isinstance(last, SweepStopped) or last.time < since:
        return False
    return last.reason == STOP_REASON


def _counts(sweep: SweepState, alive: bool) -> dict[str, int]:
    # Without a living driver no trial runs, even if the ledger has no end of it.
    dead = {} if alive else {Status.RUNNING: Status.INTERRUPTED}
    counts = Counter(dead.get(trial.status, trial.status) for trial in sweep.trials.values())
    return {str(status): count for status, count in sorted(counts.items())}


def _best(sweep: SweepState) -> dict[str, Any]:
    trial = sweep.incumbent
    if trial is None:
        return {"best": None, "curve": [], "front": []}
    metric = sweep.spec.objective.metric
    best = {
        "id": trial.id,
        "name": trial.name,
        "metric": metric,
        "value": sweep.objective(trial),
        "config": dict(trial.config),
    }
    values = [measurement.values[metric] for measurement in trial.measurements]
    return {
        "best": best,
        "curve": [value if math.isfinite(value) else None for value in values],
        "front": _front(sweep),
    }


def _front(sweep: SweepState) -> list[dict[str, Any]]:
    """Return the Pareto front if there are several objectives, otherwise an empty list."""
    if len(sweep.spec.objectives) == 1:
        return []
    return [
        {"id": trial.id, "name": trial.name, "values": sweep.values(trial)} for trial in sweep.front
    ]


def _running(sweep: SweepState, trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.id,
        "name": trial.name,
        "seed": trial.config["seed"],
        "draw": trial.draw,
        "epoch": len(trial.measurements),
        "epochs": trial.epochs,
        "value": sweep.objective(trial),
        "images_per_second": trial.last.values.get("images_per_second") if trial.last else None,
    }


def _budget(sweep: SweepState) -> dict[str, dict[str, float | None]]:
    spent = {"hours": sweep.seconds, "device_hours": sweep.device_seconds}
    return {
        unit: {"spent": round(seconds / 3600, 6), "limit": getattr(sweep.spec.budget, unit)}
        for unit, seconds in spent.items()
    }
