"""Writes trials to an MLflow file store in the run directory, or to a tracking server."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tune.run.trial import Measurement, Trial
from tune.session.log_writer import NOTES_FILE, given, is_useful
from tune.sweep.spec import SweepSpec

ADDRESS = "MLFLOW_TRACKING_URI"
"""Environment variable with the address of a tracking server."""
_HASTE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""Settings of MLflow's client. By default it waits minutes for a server that is away."""
_GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Errors of MLflow when a run to delete does not exist, or is deleted already."""
_MOST = 1000
"""Most metrics that MLflow accepts in one call."""


@contextmanager
def _in_haste() -> Iterator[None]:
    """Apply ``_HASTE``, except what the user has set."""
    new = {name: value for name, value in _HASTE.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


class MLflowWriter:
    """One MLflow run per trial, in an experiment with the name of the sweep."""

    def __init__(self, folder: Path, spec: SweepSpec) -> None:
        # MLflow refuses file stores unless they are allowed. Here the store moves with the run.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        self._metric, self._param, self._tag = Metric, Param, RunTag
        self._error = MlflowException
        self._name = spec.name
        server = os.environ.get(ADDRESS, "")
        address = server or folder.absolute().as_uri()
        self._connect: Callable[[], Any] = partial(MlflowClient, tracking_uri=address)
        self.notes = NOTES_FILE
        if server:  # Each server gets all trials, whatever another one has.
            key = hashlib.blake2b(server.encode(), digest_size=6).hexdigest()
            self.notes = f"logged-{key}.jsonl"
        self._client: Any = None
        self._experiment = ""
        self._runs: dict[str, str] = {}

    @_in_haste()
    def begin(self, trial: Trial, old: str | None) -> str:
        """Create an MLflow run with the trial's hyperparameters, and delete the old one."""
        if not self._experiment:
            self._client = self._connect()
            found = self._client.get_experiment_by_name(self._name)
            self._experiment = (
                found.experiment_id if found else self._client.create_experiment(self._name)
            )
        if old is not None:
            self._delete(old)
        tags = {"trial": trial.id, "configuration": trial.configuration_id, "phase": trial.phase}
        name = f"{trial.name} seed {trial.config['seed']}"
        params = [self._param(key, str(value)) for key, value in given(trial).items()]
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        self._runs[trial.id] = run_id = str(run.info.run_id)
        self._client.log_batch(run_id, params=params)
        return run_id

    def _delete(self, run_id: str) -> None:
        try:
            self._client.delete_run(run_id)
        except self._error as error:
            if error.error_code not in _GONE:
                raise

    @_in_haste()
    def log(self, trial: Trial, measurements: Iterable[Measurement]) -> None:
        """Add each metric, with the epoch as its step."""
        metrics = [
            entry for m in measurements for entry in self._metrics(m.values, m.epoch, m.time)
        ]
        for start in range(0, len(metrics), _MOST):
            part = metrics[start : start + _MOST]
            self._client.log_batch(self._runs[trial.id], metrics=part)

    @_in_haste()
    def end(self, trial: Trial, objective: float | None) -> None:
        """Add the objective at the trial's last epoch, and how the trial ended."""
        run_id, last = self._runs[trial.id], trial.last
        tags = {"status": str(trial.status), "reason": trial.reason}
        metrics: list[Any] = []
        if objective is not None and last is not None:
            metrics = self._metrics({"objective": objective}, last.epoch, last.time)
        self._client.log_batch(run_id, metrics, tags=[self._tag(*tag) for tag in tags.items()])
        self._client.set_terminated(run_id, "FINISHED" if is_useful(trial) else "FAILED")
        del self._runs[trial.id]

    def _metrics(self, values: Mapping[str, float], step: int, at: float) -> list[Any]:
        return [self._metric(key, v, round(1000 * at), step) for key, v in values.items()]

    def close(self) -> None:
        """Do nothing, because each call writes or sends at once."""
