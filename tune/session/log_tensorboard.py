"""Writes trials as event files of TensorBoard."""

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tune.run.trial import Measurement, Trial
from tune.session.log_writer import NOTES_FILE, given
from tune.sweep.spec import SweepSpec


class TensorBoardWriter:
    """Writes a folder per trial with an event file: scalars per epoch, and hyperparameters."""

    notes = NOTES_FILE

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

    def begin(self, trial: Trial, _old: str | None) -> str:
        """Open an event file in a folder named by the trial's number, name and seed."""
        name = f"{trial.number:04}-{trial.name}-seed{trial.config['seed']}"
        shutil.rmtree(self._folder / name, ignore_errors=True)
        self._open[trial.id] = writer = self._writer(str(self._folder / name))
        session = self._hyperparameters(given(trial), trial_id=trial.id)
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
