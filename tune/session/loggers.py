"""Logs a run's trials for TensorBoard, MLflow and Weights & Biases.

The logs repeat what is in the ledger. A trial's unfinished log is started again, so it holds each
epoch once, however often the sweep was killed and resumed. What goes wrong here does not end the
sweep.
"""

import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fairsweep.command_line import shell_path
from fairsweep.errors import one_line
from tune.run.trial import Status, Trial
from tune.session.log_mlflow import MLflowWriter
from tune.session.log_tensorboard import TensorBoardWriter
from tune.session.log_wandb import WandbWriter
from tune.session.log_writer import LogWriter
from tune.sweep.spec import SpecError, SweepSpec
from tune.sweep.sweep import Sweep

_UPDATE_SECONDS = 0.5
"""Time after which `Loggers.update` leaves further trials to the next call."""
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0
"""Seconds until logging is tried again after a failure; doubled after each further one."""


class Loggers:
    """The loggers that a sweep's spec names. `update` is cheap if nothing is new."""

    def __init__(self, run: Path, sweep: Sweep) -> None:
        require_loggers(sweep.spec)
        self._followers = [
            _Follower(name, run, sweep) for name in dict.fromkeys(sweep.spec.loggers)
        ]

    def update(self) -> None:
        """Log the epochs that were measured and the trials that ended since the last call."""
        for follower in self._followers:
            follower.update()

    def close(self) -> None:
        """Log what is left and close all files."""
        for follower in self._followers:
            follower.close()


def require_loggers(spec: SweepSpec) -> None:
    """Check that the libraries of the spec's loggers are installed.

    Raises:
        SpecError: A library is missing; the message says how to install it.
    """
    for name in spec.loggers:
        package, _, _ = _LOGGERS[name]
        if importlib.util.find_spec(name) is None:
            raise SpecError(
                f"loggers: {name} needs the package {package}, which is not installed; "
                f"`pip install {package}`, or leave {name} out"
            )


class _Follower:
    """Passes news of a sweep to one logger, and records which logs are complete."""

    def __init__(self, name: str, run: Path, sweep: Sweep) -> None:
        _, folder, make = _LOGGERS[name]
        (run / folder).mkdir(exist_ok=True)
        self._name, self._run, self._sweep = name, run, sweep
        self._writer = make(run / folder, sweep.spec)
        self._notes = run / folder / self._writer.notes
        self._names: dict[str, str] = {}
        self._whole: dict[str, int] = {}
        """Trial id → number of epochs in its complete log."""
        self._logged: dict[str, int] = {}
        self._next, self._pause = 0.0, _FIRST_PAUSE
        self._told = False
        for note in _read_notes(self._notes):
            self._hear(note["trial"], note["log"], note["epochs"])

    def _hear(self, trial_id: str, log: str, epochs: int | None) -> None:
        self._names[trial_id] = log
        trial = self._sweep.trials[trial_id]
        # After an extension, a trial has more epochs than were logged when it ended.
        if trial.ended and epochs == len(trial.measurements):
            self._whole[trial_id] = epochs
        else:
            self._whole.pop(trial_id, None)

    def update(self) -> None:
        """Bring the logs of trials up to date, unless the last failure was a moment ago."""
        now = time.monotonic()
        if now < self._next:
            return
        with self._failures_told():
            for _ in self._follow_all():
                if time.monotonic() - now > _UPDATE_SECONDS:
                    return

    def close(self) -> None:
        """Bring the logs of all trials up to date, and close them."""
        with self._failures_told():
            for _ in self._follow_all():
                pass
        with self._failures_told():
            self._writer.close()

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """Say once what goes wrong, and begin the logs of trials that have not ended again."""
        try:
            yield
        except Exception as error:  # Whatever goes wrong here must not end the sweep.
            self._logged.clear()
            with suppress(Exception):
                self._writer.close()
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            if not self._told:
                self._told = True
                print(f"{self._name}: {_gist(error)}; {self._way_out()}", file=sys.stderr)

    def _way_out(self) -> str:
        return (
            "the sweep goes on, and logging is tried again from time to time; what is missing in "
            f"the end, `python -m tune resume {shell_path(self._run)}` logs"
        )

    def _follow_all(self) -> Iterator[Trial]:
        """Yield each trial whose log is not complete, after updating it."""
        for trial in self._sweep.trials.values():
            if trial.status is not Status.PENDING and not self._is_whole(trial):
                self._follow(trial)
                yield trial

    def _is_whole(self, trial: Trial) -> bool:
        # A failed trial may be trained again after its log was complete.
        return trial.ended and self._whole.get(trial.id) == len(trial.measurements)

    def _follow(self, trial: Trial) -> None:
        if trial.id not in self._logged:
            log = self._writer.begin(trial, self._names.get(trial.id))
            self._note(trial, log, None)
            self._logged[trial.id] = 0
        if new := trial.measurements[self._logged[trial.id] :]:
            self._writer.log(trial, new)
            self._logged[trial.id] += len(new)
        if trial.ended:
            self._writer.end(trial, self._sweep.objective(trial))
            self._note(trial, self._names[trial.id], self._logged.pop(trial.id))

    def _note(self, trial: Trial, log: str, epochs: int | None) -> None:
        line = json.dumps({"trial": trial.id, "log": log, "epochs": epochs})
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._hear(trial.id, log, epochs)


def _read_notes(path: Path) -> list[dict[str, Any]]:
    """Read the notes, and remove a last line that a killed process left incomplete."""
    if not path.exists():
        return []
    *lines, unfinished = path.read_bytes().split(b"\n")
    os.truncate(path, path.stat().st_size - len(unfinished))
    return [json.loads(line) for line in lines]


def _gist(error: Exception) -> str:
    """Return the message of an error without the keys of addresses in it."""
    return re.sub(r"//[^/@\s]*@", "//", one_line(error))


_LOGGERS: dict[str, tuple[str, str, Callable[[Path, SweepSpec], LogWriter]]] = {
    "tensorboard": ("tensorboard", "tensorboard", TensorBoardWriter),
    "mlflow": ("mlflow-skinny", "mlruns", MLflowWriter),
    "wandb": ("wandb", "wandb", WandbWriter),
}
"""Name in the spec, which is also the library's module → package, folder in a run, writer."""
