"""The files of a run directory: names, terms and columns. All that `tune` and `analysis` share.

Standard library and pyarrow only, so that a laptop without torch or Ray can read a run.
"""

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fairsweep.errors import MissingFileError, UserError

SCHEMA_VERSION = 1

SPEC_FILE = "spec.yaml"
PROVENANCE_FILE = "provenance.json"
LEDGER_FILE = "events.jsonl"
TRIALS_FILE = "trials.parquet"
MEASUREMENTS_FILE = "measurements.parquet"
PREDICTIONS_DIR = "predictions"
CHECKPOINTS_DIR = "checkpoints"
REPORT_DIR = "report"
RAY_DIR = "ray"
INITIAL_FILE = "initial.pt"
"""The checkpoint that a retrained run starts from."""
GROUPS_FILE = "groups.csv"
"""The user's columns that a retrained run adds to those of its dataset."""
ERRORS_DIR = "errors"
"""Whole tracebacks of failed attempts, a file per trial."""
STOP_FILE = "stop"
"""While this file is there, workers write a checkpoint after each epoch and the sweep stops.
With ``-`` and a trial's id after its name, it asks for that trial alone to end."""
LEASE_FILE = "lease.json"

METRICS = (
    "val_loss",
    "val_accuracy",
    "val_macro_precision",
    "val_macro_recall",
    "val_macro_f1",
    "val_micro_precision",
    "val_micro_recall",
    "val_micro_f1",
)
"""What is measured on the validation split after each epoch."""

DATASET_FOLDS = 10
"""Folds of a trial that has a ``fold`` and no ``folds``: those of the dataset's file."""

COSTS = ("parameters", "device_seconds")
"""Columns of the trials table that may be a further objective of a sweep."""

MEASURED = ("train_loss", "train_accuracy", *METRICS, "learning_rate")
"""Every figure of one epoch that decides or describes a result; equal on every repetition."""

TIMINGS = ("seconds", "images_per_second")
"""Figures of one epoch that differ from machine to machine: seconds of the whole epoch with its
validation, and training pictures per second of its training part."""


class Status(StrEnum):
    """Where a trial stands; derived from the ledger, never stored twice."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    EARLY_STOPPED = "EARLY_STOPPED"
    DIVERGED = "DIVERGED"
    INFEASIBLE = "INFEASIBLE"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"


FINISHED = frozenset(
    {Status.COMPLETED, Status.EARLY_STOPPED, Status.DIVERGED, Status.INFEASIBLE, Status.FAILED}
)
"""Statuses that a resumed sweep leaves as they are."""


class Figures(Mapping[str, float]):
    """One number for each name in ``MEASURED`` and ``TIMINGS``, in a fifth of a dict's memory."""

    __slots__ = ("_numbers",)

    def __init__(self, values: Mapping[str, float]) -> None:
        self._numbers = array("d", [values[name] for name in _PLACES])

    def __getitem__(self, name: str) -> float:
        return self._numbers[_PLACES[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


_PLACES = {name: place for place, name in enumerate((*MEASURED, *TIMINGS))}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The metrics of one trial at one epoch."""

    epoch: int
    """Epochs trained so far, counted from 1."""
    values: Mapping[str, float]
    """One figure for each name in ``MEASURED`` and ``TIMINGS``."""
    time: float = 0.0
    """When it was written to the ledger, in seconds since 1970."""

    @property
    def diverged(self) -> bool:
        """True if a loss is NaN or infinite."""
        return any(
            abs(self.values[name]) == float("inf") or self.values[name] != self.values[name]
            for name in ("train_loss", "val_loss")
        )


@dataclass(kw_only=True)
class Trial:
    """One training: a configuration, a seed and a fold, with all that the ledger says of it."""

    id: str
    configuration_id: str
    number: int
    """Order of proposal, from 0."""
    name: str
    phase: str
    """``search`` or ``finalist`` (a further replicate of a finalist)."""
    replicate: int
    """0 for the search's own training of a configuration, then 1, 2, …"""
    config: Mapping[str, Any]
    """Every hyperparameter of `TrainConfig`, seed and fold among them."""
    epochs: int
    """Epochs that it was given."""
    measurements: list[Measurement] = field(default_factory=list)
    status: Status = Status.PENDING
    reason: str = ""
    parameters: int | None = None
    """Trainable parameters of the network, once a worker has built it."""
    host: str = ""
    device: str = ""
    devices: float = 1.0
    """Share of a GPU, by slots or by memory, or CPU cores that it held; times seconds gives
    device-seconds."""
    seconds: float = 0.0
    """Wall-clock seconds on a worker, all attempts together."""
    nodes_lost: int = 0
    """How often the node under it died, and it went on elsewhere."""

    @property
    def draw(self) -> str:
        """Its seed, and its fold if it has one: what tells trials of a configuration apart."""
        fold = self.config.get("fold")
        return f"seed {self.config['seed']}" + ("" if fold is None else f" fold {fold}")

    @property
    def ended(self) -> bool:
        """True if a resumed sweep leaves it as it is."""
        return self.status in FINISHED

    @property
    def device_seconds(self) -> float:
        """Seconds that it trained, times the share of a GPU or the CPU cores that it held."""
        return self.seconds * self.devices

    @property
    def last(self) -> Measurement | None:
        """The measurement of the last epoch, if there is one."""
        return self.measurements[-1] if self.measurements else None

    def best(self, metric: str = "val_accuracy", mode: str = "max") -> Measurement | None:
        """Return the measurement with the best finite ``metric``, the earliest of equals."""
        sign = 1 if mode == "max" else -1
        finite = [m for m in self.measurements if abs(m.values[metric]) < float("inf")]
        return max(finite, key=lambda m: (sign * m.values[metric], -m.epoch), default=None)


@dataclass(frozen=True, kw_only=True)
class TableInfo:
    """What the columns of ``trials.parquet`` mean; kept in its schema metadata."""

    hyperparameters: tuple[str, ...]
    """Columns that are hyperparameters."""
    searched: tuple[str, ...]
    """Hyperparameters that took part in the search, tied ones included."""
    tied: Mapping[str, str]
    """Hyperparameters tied to another: name → the one it follows."""
    objective: Mapping[str, str]
    """``metric``, ``mode`` (max or min) and ``at`` (best or last)."""
    classes: tuple[str, ...]
    """Class names in the order of the labels."""
    searcher: str
    scheduler: str
    rungs: tuple[int, ...]
    """Epochs at which the scheduler compared trials."""


TRIAL_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("trial_id", pa.string()),
    ("configuration_id", pa.string()),
    ("number", pa.int64()),
    ("name", pa.string()),
    ("phase", pa.string()),
    ("replicate", pa.int64()),
    ("status", pa.string()),
    ("reason", pa.string()),
    ("epochs_trained", pa.int64()),
    ("best_epoch", pa.int64()),
    *((f"best_{metric}", pa.float64()) for metric in METRICS),
    *((f"last_{metric}", pa.float64()) for metric in METRICS),
    ("parameters", pa.int64()),
    ("seconds", pa.float64()),
    ("device_seconds", pa.float64()),
    ("host", pa.string()),
    ("device", pa.string()),
    ("nodes_lost", pa.int64()),
)
"""Columns of ``trials.parquet`` beside the hyperparameters, which stand after ``replicate``.
``best_epoch`` and ``best_*`` are those of the epoch with the best objective metric."""

_INFO_KEY = b"sweep"


def trials_table(
    rows: Iterable[Mapping[str, Any]],
    info: TableInfo,
    hyperparameter_types: Mapping[str, pa.DataType],
) -> pa.Table:
    """Build the trials table: ``TRIAL_COLUMNS`` with the hyperparameters in their midst."""
    names = [name for name, _ in TRIAL_COLUMNS]
    middle = names.index("replicate") + 1
    columns = [*TRIAL_COLUMNS[:middle], *hyperparameter_types.items(), *TRIAL_COLUMNS[middle:]]
    metadata = {_INFO_KEY: json.dumps({"schema_version": SCHEMA_VERSION, **vars(info)}).encode()}
    return pa.Table.from_pylist(list(rows), pa.schema(columns, metadata=metadata))


def measurements_table(trials: Iterable[Trial]) -> pa.Table:
    """Build the measurements table: a row per trial and epoch."""
    columns = [
        ("trial_id", pa.string()),
        ("epoch", pa.int64()),
        *((name, pa.float64()) for name in (*MEASURED, *TIMINGS)),
    ]
    rows = [
        {"trial_id": trial.id, "epoch": measurement.epoch, **measurement.values}
        for trial in trials
        for measurement in trial.measurements
    ]
    return pa.Table.from_pylist(rows, pa.schema(columns))


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, partial)
    partial.replace(path)


def read_table_info(table: pa.Table) -> TableInfo:
    """Read back what `trials_table` wrote into the metadata of ``table``."""
    values: dict[str, Any] = json.loads(table.schema.metadata[_INFO_KEY])
    del values["schema_version"]
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return TableInfo(**{**values, **lists})


def predictions_table(
    *,
    image_ids: Iterable[str],
    labels: Iterable[int],
    probabilities: Any,
    split: str,
    epoch: int,
    classes: Iterable[str],
) -> pa.Table:
    """Build a trial's predictions: one row per picture.

    Columns: ``image_id``, ``split`` (val or test), ``label`` (index of the true class),
    ``probabilities`` (one per class; argmax is the predicted class). Metadata: ``classes``
    and the ``epoch`` of the weights that predicted.

    Args:
        image_ids: Ids of the n pictures.
        labels: Index of the true class of each.
        probabilities: (n, classes) float32 array.
        split: The split that the pictures belong to.
        epoch: Epoch of the weights that predicted.
        classes: Class names in the order of the labels.
    """
    count, width = probabilities.shape
    values = pa.FixedSizeListArray.from_arrays(
        pa.array(probabilities.reshape(-1), pa.float32()), width
    )
    table = pa.table(
        {
            "image_id": pa.array(image_ids, pa.string()),
            "split": pa.array([split] * count, pa.string()),
            "label": pa.array(labels, pa.int16()),
            "probabilities": values,
        }
    )
    metadata = {"classes": json.dumps(list(classes)), "epoch": str(epoch)}
    return table.replace_schema_metadata(metadata)


def predictions_file(run: Path, trial_id: str) -> Path:
    """Return where a trial's predictions are, if it left any."""
    return run / PREDICTIONS_DIR / f"{trial_id}.parquet"


def best_weights(run: Path, trial_id: str) -> Path:
    """Return where a trial's best weights are, if they are kept."""
    return run / CHECKPOINTS_DIR / trial_id / "best.pt"


def read_predictions(run: Path, trial_id: str) -> pa.Table | None:
    """Read a trial's predictions, or None where it left none."""
    path = predictions_file(run, trial_id)
    return pq.read_table(path) if path.is_file() else None


def read_events(run: Path) -> list[dict[str, Any]]:
    """Read the ledger of a run; a half-written last line is left out.

    Raises:
        MissingFileError: ``run`` has no ledger.
        UserError: A line before the last is no JSON.
    """
    path = run / LEDGER_FILE
    if not path.is_file():
        raise MissingFileError(f"{run} is not a run directory (no {LEDGER_FILE})")
    *lines, _unfinished = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise UserError(f"{path}, line {number} is damaged: {error}") from error
    return events
