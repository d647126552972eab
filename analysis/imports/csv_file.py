"""Reads a CSV of trainings: a row per training or per epoch, exports of W&B and MLflow included."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.imports.choices import SEEDS, is_metric_word, one_of
from analysis.imports.found import Found, FoundTrial, flat
from fairsweep.errors import MissingFileError, UserError
from tune.run.trial import Status

_RUNS = ("run_id", "trial_id", "run", "trial", "id", "name")
"""Usual names of the column that tells trainings apart."""
_EPOCHS = ("epoch", "step", "_step", "training_iteration", "iteration")
_STATES = ("state", "status")
_OF_TOOLS = frozenset(
    {
        *("notes", "user", "tags", "created", "runtime", "sweep", "host", "group", "job_type"),
        *("artifact_uri", "experiment_id", "start_time", "end_time", "updated", "end_time"),
        *("_runtime", "_timestamp", "_wandb", "run_name", "commit", "hostname", "description"),
    }
)
"""Columns of W&B and MLflow that are neither hyperparameters nor metrics."""
_WORDS: Mapping[Status, tuple[str, ...]] = {
    Status.COMPLETED: ("finished", "completed", "complete", "terminated", "success", "done"),
    Status.FAILED: ("failed", "fail", "crashed", "error", "killed"),
    Status.EARLY_STOPPED: ("early_stopped", "stopped", "pruned"),
    Status.DIVERGED: ("diverged",),
    Status.INFEASIBLE: ("infeasible",),
    Status.RUNNING: ("running", "interrupted", "preempted"),
    Status.PENDING: ("pending", "scheduled", "waiting"),
}
_PREFIXES = {"config": "hyperparameter", "params": "hyperparameter", "param": "hyperparameter"} | {
    "metrics": "metric",
    "metric": "metric",
    "summary": "metric",
    "summary_metrics": "metric",
}


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Which columns hold what."""

    run: str | None
    epoch: str | None
    state: str | None
    hyperparameters: Mapping[str, str]
    """Column → name."""
    metrics: Mapping[str, str]
    ignored: tuple[str, ...]


def read_csv(
    path: Path,
    *,
    metric: str | None = None,
    epoch: str | None = None,
    configuration: Iterable[str] = (),
    seed: str | None = None,
) -> Found:
    """Read the trainings of a CSV.

    Args:
        path: The file.
        metric: Column of the objective's metric.
        epoch: Column of the epoch; usual names are found.
        configuration: Columns of the hyperparameters; by default all that are not metrics by their
            name (``val_loss``, ``acc``, …) or prefix (``metrics.``, ``summary.``).
        seed: Column of the seed; usual names are found.

    Raises:
        MissingFileError: The file does not exist.
        UserError: It is not a CSV, or a column that is named does not exist.
    """
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}")
    try:
        frame = pd.read_csv(path, dtype_backend="numpy_nullable")
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is not a CSV: {str(error).splitlines()[0]}") from error
    frame = _unpacked(frame)
    asked = {
        option: None if name is None else _column(frame, name)
        for option, name in {"metric": metric, "epoch": epoch, "seed": seed}.items()
    }
    chosen = tuple(_column(frame, name) for name in configuration)
    columns = _columns(frame, **asked, configuration=chosen)
    ignored = f"Columns that were not read: {', '.join(columns.ignored)}." * bool(columns.ignored)
    return Found(
        tool=_tool(frame),
        source=str(path),
        trials=tuple(_trials(frame, columns)),
        metric=None if asked["metric"] is None else columns.metrics.get(asked["metric"]),
        names_stops=columns.epoch is None,
        notes=(ignored,) if ignored else (),
    )


def _unpacked(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace columns ``config`` and ``summary`` that hold JSON objects, as of W&B's interface."""
    for name in ("config", "summary"):
        if name in frame and frame[name].astype(str).str.startswith("{").all():
            try:
                rows = [flat(json.loads(text)) for text in frame[name]]
            except ValueError as error:
                raise UserError(f"column {name} is not JSON: {error}") from error
            parts = pd.DataFrame(rows, index=frame.index).convert_dtypes().add_prefix(f"{name}.")
            frame = pd.concat([frame.drop(columns=name), parts], axis=1)
    return frame


def _column(frame: pd.DataFrame, name: str) -> str:
    """Return the column that ``name`` means, with or without its prefix."""
    columns = {_bare(c): str(c) for c in frame} | {str(c): str(c) for c in frame}
    return columns[
        one_of(name, list(columns), "each of --metric, --epoch, --seed, --configuration")
    ]


def _columns(
    frame: pd.DataFrame,
    *,
    metric: str | None,
    epoch: str | None,
    configuration: tuple[str, ...],
    seed: str | None,
) -> _Columns:
    usual = {_lower(column): str(column) for column in frame}
    epoch = epoch or next((usual[name] for name in _EPOCHS if name in usual), None)
    run = next((usual[name] for name in _RUNS if name in usual and usual[name] != metric), None)
    state = next((usual[name] for name in _STATES if name in usual), None)
    special = {run, epoch, state} - {None, *configuration}
    roles = {}
    for column in map(str, frame):
        if column in special:
            continue
        if column in (seed, *configuration):
            roles[column] = "hyperparameter"
        elif column == metric:
            roles[column] = "metric"
        else:
            roles[column] = _role(frame, column)
            if roles[column] == "hyperparameter" and configuration and not _is_seed(column):
                roles[column] = "metric" if _is_number(frame[column]) else "ignored"
    return _Columns(
        run=run,
        epoch=epoch,
        state=state,
        hyperparameters={c: _bare(c) for c, role in roles.items() if role == "hyperparameter"},
        metrics={c: _bare(c) for c, role in roles.items() if role == "metric"},
        ignored=tuple(c for c, role in roles.items() if role == "ignored"),
    )


def _lower(column: Any) -> str:
    return str(column).lower().replace(" ", "_")


def _role(frame: pd.DataFrame, column: str) -> str:
    """Return hyperparameter, metric or ignored, by the name of the column."""
    lower = _lower(column)
    prefix = re.split("[./]", lower, maxsplit=1)[0] if re.search("[./]", lower) else ""
    if prefix in _PREFIXES:
        known = _PREFIXES[prefix]
        return known if known == "hyperparameter" or _is_number(frame[column]) else "ignored"
    of_rows = lower in _RUNS or lower in _EPOCHS  # another name of the run or the epoch
    if of_rows or lower in _OF_TOOLS or prefix == "tags" or lower.startswith("_"):
        return "ignored"
    return "metric" if is_metric_word(lower) and _is_number(frame[column]) else "hyperparameter"


def _bare(column: Any) -> str:
    """Return the name without the prefix of a tool."""
    name = str(column)
    prefix, dot, rest = name.partition("." if "." in name else "/")
    return rest if dot and prefix.lower() in _PREFIXES else name


def _is_number(values: "pd.Series[Any]") -> bool:
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return bool(numeric and values.notna().any())


def _is_seed(column: str) -> bool:
    return _bare(column).split(".")[-1].lower() in SEEDS


def _tool(frame: pd.DataFrame) -> str:
    names = set(map(str, frame))
    if "run_id" in names and any(name.startswith(("params.", "metrics.")) for name in names):
        return "MLflow (CSV)"
    return "W&B (CSV)" if {"Name", "State"} <= names else "CSV"


def _trials(frame: pd.DataFrame, columns: _Columns) -> Iterable[FoundTrial]:
    """Yield a trial for each row, or for the rows of a run and configuration over its epochs."""
    keys = [*([columns.run] if columns.run else []), *columns.hyperparameters]
    if columns.epoch is None or not keys:
        groups = [frame.iloc[[place]] for place in range(len(frame))]
    else:
        groups = [rows for _, rows in frame.groupby(keys, sort=False, dropna=False)]
    for rows in groups:
        row = f"row {int(rows.index[0]) + 2}"
        yield _trial(row if columns.run is None else str(rows[columns.run].iloc[0]), rows, columns)


def _trial(label: str, rows: pd.DataFrame, columns: _Columns) -> FoundTrial:
    last = rows.iloc[-1]
    measurements: dict[int, dict[str, float]] = {}
    for place, (_, row) in enumerate(rows.iterrows(), start=1):
        epoch = (
            place
            if columns.epoch is None or pd.isna(row[columns.epoch])
            else int(row[columns.epoch])
        )
        known = {n: float(row[c]) for c, n in columns.metrics.items() if not pd.isna(row[c])}
        if known:
            measurements[epoch] = {**measurements.get(epoch, {}), **known}
    status, reason = _status(None if columns.state is None else last[columns.state])
    return FoundTrial(
        label=label,
        # Not of `last`, where a whole number beside fractions is a fraction too.
        values={n: _plain(rows[c].iloc[-1]) for c, n in columns.hyperparameters.items()},
        measurements=measurements,
        status=status,
        reason=reason,
    )


def _status(state: Any) -> tuple[Status, str]:
    """Return the status that a word of a tool means; without one, a training is complete."""
    if state is None or pd.isna(state):
        return Status.COMPLETED, ""
    word = str(state).strip().lower().replace(" ", "_")
    for status, words in _WORDS.items():
        if word in words:
            return status, "" if status is Status.COMPLETED else str(state)
    return Status.FAILED, f"its state is {state}"


def _plain(value: Any) -> Any:
    if value is None or (not isinstance(value, list | dict) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value
