"""Builds, writes and reads the Parquet files of a run directory."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fairsweep.command_line import shell_path
from fairsweep.durable import replaced
from fairsweep.errors import UserError
from tune.run.directory import SCHEMA_VERSION, predictions_file
from tune.run.trial import LATENCY, MEASURED, METRICS, TIMINGS, Trial

Sampling = Literal["every", "drawn", "adaptive"]
"""How a searcher chooses configurations: all of the space, independent of results, or depending
on earlier results."""


@dataclass(frozen=True, kw_only=True)
class TableInfo:
    """Describes the columns of ``trials.parquet``; stored in its schema metadata."""

    hyperparameters: tuple[str, ...]
    """Columns that are hyperparameters."""
    searched: tuple[str, ...]
    """Searched hyperparameters, including tied ones."""
    tied: Mapping[str, str]
    """Hyperparameters tied to another: name → the one it follows."""
    objective: Mapping[str, str]
    """``metric``, ``mode`` (max or min) and ``at`` (best or last)."""
    classes: tuple[str, ...]
    """Class names in the order of the labels."""
    searcher: str
    searcher_words: str
    """Name of the searcher in a sentence, such as "grid search"."""
    sampling: Sampling
    scheduler: str
    scheduler_words: str
    """Description of the scheduler that follows "with" in a sentence."""
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
    ("parameters", pa.int64()),
    ("seconds", pa.float64()),
    ("device_seconds", pa.float64()),
    ("host", pa.string()),
    ("device", pa.string()),
    ("nodes_lost", pa.int64()),
)
"""Columns of ``trials.parquet`` without the hyperparameters, which come after ``replicate``, and
``best_*`` and ``last_*`` of each metric, which come after ``best_epoch``. ``best_epoch`` and
``best_*`` are those of the epoch with the best objective metric."""

_INFO_KEY = b"sweep"
_MEMBERS_KEY = b"members"


def trials_table(
    rows: Iterable[Mapping[str, Any]],
    info: TableInfo,
    hyperparameter_types: Mapping[str, pa.DataType],
    metrics: Sequence[str] = METRICS,
    *,
    latency: bool = False,
) -> pa.Table:
    """Build the trials table: ``TRIAL_COLUMNS``, the hyperparameters and the metrics.

    With ``latency``, its last column is `tune.run.trial.LATENCY`.
    """
    names = [name for name, _ in TRIAL_COLUMNS]
    replicate, epoch = names.index("replicate") + 1, names.index("best_epoch") + 1
    columns = [
        *TRIAL_COLUMNS[:replicate],
        *hyperparameter_types.items(),
        *TRIAL_COLUMNS[replicate:epoch],
        *((f"{at}_{metric}", pa.float64()) for at in ("best", "last") for metric in metrics),
        *TRIAL_COLUMNS[epoch:],
        *([(LATENCY, pa.float64())] if latency else []),
    ]
    metadata = {_INFO_KEY: json.dumps({"schema_version": SCHEMA_VERSION, **vars(info)}).encode()}
    return pa.Table.from_pylist(list(rows), pa.schema(columns, metadata=metadata))


def identity_row(trial: Trial) -> dict[str, Any]:
    """Return the columns of the trials table that say which trial a row is, and how it ended."""
    return {
        "trial_id": trial.id,
        "configuration_id": trial.configuration_id,
        "number": trial.number,
        "name": trial.name,
        "phase": trial.phase,
        "replicate": trial.replicate,
        "status": trial.status,
        "reason": trial.reason,
    }


def measurements_table(
    trials: Iterable[Trial], names: Sequence[str] = (*MEASURED, *TIMINGS)
) -> pa.Table:
    """Build the measurements table: a row per trial and epoch, with a column for each name."""
    columns = [
        ("trial_id", pa.string()),
        ("epoch", pa.int64()),
        *((name, pa.float64()) for name in names),
    ]
    rows = [
        {"trial_id": trial.id, "epoch": measurement.epoch, **measurement.values}
        for trial in trials
        for measurement in trial.measurements
    ]
    return pa.Table.from_pylist(rows, pa.schema(columns))


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial:
        pq.write_table(table, partial)


def read_table_info(table: pa.Table) -> TableInfo:
    """Read the metadata of the trials table; `_facts_of_earlier_tables` completes old ones."""
    values: dict[str, Any] = json.loads(table.schema.metadata[_INFO_KEY])
    del values["schema_version"]
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return TableInfo(**{**_facts_of_earlier_tables(values), **values, **lists})


def _facts_of_earlier_tables(values: Mapping[str, Any]) -> dict[str, str]:
    searcher, scheduler = values["searcher"], values["scheduler"]
    sampling = {"grid": "every", "random": "drawn", "sobol": "drawn"}.get(searcher, "adaptive")
    return {
        "searcher_words": f"searcher {searcher}",
        "sampling": sampling,
        "scheduler_words": "no early stopping" if scheduler == "none" else f"scheduler {scheduler}",
    }


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


def read_predictions(run: Path, trial_id: str) -> pa.Table | None:
    """Read a trial's predictions; None if there are none.

    Raises:
        UserError: The file is damaged.
    """
    path = predictions_file(run, trial_id)
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:  # a report reads thousands; `read_table` costs twice
            return file.read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path} is damaged; `python -m tune resume {shell_path(run)}` writes it again"
        ) from error


def with_members(table: pa.Table, members: Mapping[str, int]) -> pa.Table:
    """Add the members of an ensemble to its predictions: trial id → how often it counts."""
    metadata = {**(table.schema.metadata or {}), _MEMBERS_KEY: json.dumps(dict(members))}
    return table.replace_schema_metadata(metadata)


def ensemble_members(table: pa.Table) -> dict[str, int]:
    """Return what `with_members` added."""
    members: dict[str, int] = json.loads(table.schema.metadata[_MEMBERS_KEY])
    return members


def is_whole(path: Path) -> bool:
    """Return whether a Parquet file is complete."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True
