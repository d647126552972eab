"""Writes a run's trials as TensorBoard event files or to an MLflow file store.

The logs repeat what is in the ledger. A trial's unfinished log is started again, so it holds each
epoch once, however often the sweep was killed and resumed.
"""

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tune.run.trial import Measurement, Status, Trial
from tune.sweep.spec import SpecError, SweepSpec
from tune.sweep.sweep import Sweep

_NOTES_FILE = "logged.jsonl"
"""Lists the log of each trial and, once it is complete, its number of epochs."""


class Loggers:
    """The loggers that a sweep's spec names. `update` is cheap if nothing is new."""

    def __init__(self, run: Path, sweep: Sweep) -> None:
        require_loggers(sweep.spec)
        self._followers = [
            _Follower(sweep, run / folder, make(run / folder, sweep.spec))
            for _, folder, make in (_LOGGERS[name] for name in sweep.spec.loggers)
        ]

    def update(self) -> None:
        """Log the epochs that were measured and the trials that ended since the last call."""
        for follower in self._followers:
            follower.update()

    def close(self) -> None:
        """Log what is left and close all files."""
        for follower in self._followers:
            follower.update()
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


class Logger(Protocol):
    """Writes the logs of trials in a library's format."""

    def begin(self, trial: Trial, old: str | None) -> str:
        """Open the log of a trial, replace the log ``old`` if there is one, and return its name."""
        ...

    def log(self, trial: Trial, measurements: Iterable[Measurement]) -> None:
        """Add measurements to a trial's log, and flush them to disk."""
        ...

    def end(self, trial: Trial, objective: float | None) -> None:
        """Add the trial's objective to its log, and close the log."""
        ...

    def close(self) -> None:
        """Close the logs of trials that have not ended."""
        ...


class _Follower:
    """Passes news of a sweep to one logger, and records which logs are complete."""

    def __init__(self, sweep: Sweep, folder: Path, logger: Logger) -> None:
        self._sweep = sweep
        self._logger = logger
        self._notes = folder / _NOTES_FILE
        self._names: dict[str, str] = {}
        self._whole: dict[str, int] = {}
        """Trial id → number of epochs in its complete log."""
        self._logged: dict[str, int] = {}
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
        """Bring the logs of all trials up to date."""
        for trial in self._sweep.trials.values():
            if trial.status is not Status.PENDING and not self._is_whole(trial):
                self._follow(trial)

    def _is_whole(self, trial: Trial) -> bool:
        # A failed trial may be trained again after its log was complete.
        return trial.ended and self._whole.get(trial.id) == len(trial.measurements)

    def _follow(self, trial: Trial) -> None:
        if trial.id not in self._logged:
            log = self._logger.begin(trial, self._names.get(trial.id))
            self._note(trial, log, None)
            self._logged[trial.id] = 0
        if new := trial.measurements[self._logged[trial.id] :]:
            self._logger.log(trial, new)
            self._logged[trial.id] += len(new)
        if trial.ended:
            self._logger.end(trial, self._sweep.objective(trial))
            self._note(trial, self._names[trial.id], self._logged.pop(trial.id))

    def _note(self, trial: Trial, log: str, epochs: int | None) -> None:
        line = json.dumps({"trial": trial.id, "log": log, "epochs": epochs})
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._hear(trial.id, log, epochs)

    def close(self) -> None:
        """Close the logger."""
        self._logger.close()


def _read_notes(path: Path) -> list[dict[str, Any]]:
    """Read the notes, and remove a last line that a killed process left incomplete."""
    if not path.exists():
        return []
    *lines, unfinished = path.read_bytes().split(b"\n")
    os.truncate(path, path.stat().st_size - len(unfinished))
    return [json.loads(line) for line in lines]


class TensorBoardLogger:
    """Writes a folder per trial with an event file: scalars per epoch, and hyperparameters."""

    def __init__(self, folder: Path, _spec: SweepSpec) -> None:
        # These modules work without TensorFlow.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._folder = folder
        self._event, self._summary = Event, Summary
        self._hyperparameters, self._writer = hparams_pb, EventFileWriter
        self._open: dict[str, Any] = {}
        folder.mkdir(exist_ok=True)

    def begin(self, trial: Trial, _old: str | None) -> str:
        """Open an event file in a folder named by the trial's number, name and seed."""
        name = f"{trial.number:04}-{trial.name}-seed{trial.config['seed']}"
        shutil.rmtree(self._folder / name, ignore_errors=True)
        self._open[trial.id] = writer = self._writer(str(self._folder / name))
        session = self._hyperparameters(_given(trial), trial_id=trial.id)
        writer.add_event(self._event(wall_time=time.time(), summary=session))
        writer.flush()
        return name

    def log(self, trial: Trial, measurements: Iterable[Measurement]) -> None:
        """Add a scalar per metric, with the epoch as its step."""
        for measurement in measurements:
            self._add(trial, measurement.values, measurement.epoch, measurement.time)
        self._open[trial.id].flush()

    def end(self, trial: Trial, objective: float | None) -> None:
        """Add the objective at the trial's last epoch."""
        if objective is not None and trial.last is not None:
            self._add(trial, {"objective": objective}, trial.last.epoch, trial.last.time)
        self._open.pop(trial.id).close()

    def _add(self, trial: Trial, values: Mapping[str, float], step: int, at: float) -> None:
        scalars = [self._summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]
        summary = self._summary(value=scalars)
        self._open[trial.id].add_event(self._event(wall_time=at, step=step, summary=summary))

    def close(self) -> None:
        """Close the event files of trials that have not ended."""
        while self._open:
            self._open.popitem()[1].close()


class MLflowLogger:
    """A file store with one MLflow run per trial."""

    def __init__(self, folder: Path, spec: SweepSpec) -> None:
        # MLflow refuses file stores unless they are allowed. Here the store moves with the run.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        self._metric, self._param, self._tag = Metric, Param, RunTag
        self._client = MlflowClient(tracking_uri=folder.absolute().as_uri())
        found = self._client.get_experiment_by_name(spec.name)
        self._experiment = (
            found.experiment_id if found else self._client.create_experiment(spec.name)
        )
        self._runs: dict[str, str] = {}

    def begin(self, trial: Trial, old: str | None) -> str:
        """Create an MLflow run with the trial's hyperparameters, and delete the old one."""
        if old is not None:
            self._client.delete_run(old)
        tags = {"trial": trial.id, "configuration": trial.configuration_id, "phase": trial.phase}
        name = f"{trial.name} seed {trial.config['seed']}"
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        self._runs[trial.id] = run_id = str(run.info.run_id)
        params = [self._param(key, str(value)) for key, value in _given(trial).items()]
        self._client.log_batch(run_id, params=params)
        return run_id

    def log(self, trial: Trial, measurements: Iterable[Measurement]) -> None:
        """Add each metric, with the epoch as its step."""
        for measurement in measurements:
            self._add(trial, measurement.values, measurement.epoch, measurement.time)

    def end(self, trial: Trial, objective: float | None) -> None:
        """Add the objective at the trial's last epoch, and how the trial ended."""
        if objective is not None and trial.last is not None:
            self._add(trial, {"objective": objective}, trial.last.epoch, trial.last.time)
        run_id = self._runs.pop(trial.id)
        tags = {"status": str(trial.status), "reason": trial.reason}
        self._client.log_batch(run_id, tags=[self._tag(*tag) for tag in tags.items()])
        useful = trial.status in (Status.COMPLETED, Status.EARLY_STOPPED)
        self._client.set_terminated(run_id, "FINISHED" if useful else "FAILED")

    def _add(self, trial: Trial, values: Mapping[str, float], step: int, at: float) -> None:
        metrics = [self._metric(key, v, round(1000 * at), step) for key, v in values.items()]
        self._client.log_batch(self._runs[trial.id], metrics=metrics)

    def close(self) -> None:
        """Do nothing, because MLflow writes each call to disk."""


def _given(trial: Trial) -> dict[str, Any]:
    """Return the hyperparameters that are not None, which neither library supports."""
    return {name: value for name, value in trial.config.items() if value is not None}


_LOGGERS: dict[str, tuple[str, str, Callable[[Path, SweepSpec], Logger]]] = {
    "tensorboard": ("tensorboard", "tensorboard", TensorBoardLogger),
    "mlflow": ("mlflow-skinny", "mlruns", MLflowLogger),
}
"""Name in the spec, which is also the library's module → package, folder in a run, logger."""
