"""Reads a run directory into data frames, from which tables and figures are made."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.run.column_names import with_own_columns
from analysis.run.metric import Metric, reported
from analysis.statistics.verdicts import MARGIN
from fairsweep.command_line import NOTHING_SUCCEEDED, shell_path
from fairsweep.errors import MissingFileError, UserError
from tune.run.directory import (
    LEDGER_FILE,
    MEASUREMENTS_FILE,
    PROVENANCE_FILE,
    SPEC_FILE,
    TRIALS_FILE,
)
from tune.run.tables import TableInfo, read_predictions, read_table_info
from tune.run.trial import FINISHED, Status

COMPARABLE = (Status.COMPLETED, Status.EARLY_STOPPED)
"""Statuses of trials whose accuracies can be compared."""


class NoTrialSucceededError(UserError):
    """Every finished trial of the run diverged, failed or did not fit."""

    exit_code = NOTHING_SUCCEEDED


@dataclass(frozen=True, kw_only=True, eq=False)
class RunData:
    """The tables of a run, and its other files."""

    path: Path
    """The run directory."""
    info: TableInfo
    """Describes the columns of ``trials``."""
    trials: pd.DataFrame
    """A row per trial, ordered by number: the columns of ``trials.parquet``, and ``n`` (number of
    validation pictures; missing without predictions)."""
    measurements: pd.DataFrame
    """A row per trial and epoch: the columns of ``measurements.parquet``."""
    provenance: Mapping[str, Any]
    """Content of ``provenance.json``; empty if it is missing."""
    spec: str
    """Text of ``spec.yaml``; empty if it is missing."""
    data: Path | None = None
    """Path of the dataset; None for the path in ``provenance``."""
    margin: float = MARGIN
    """Smaller differences in the metric count as equivalent; 0 if none do."""
    answers: Mapping[str, pd.DataFrame] | None = None
    """Trial id → its validation predictions, as `read_probabilities` returns them; None to read
    them from the run directory."""

    @property
    def name(self) -> str:
        """Name of the run directory."""
        return self.path.resolve().name

    @property
    def shell_path(self) -> str:
        """The run directory, quoted for a command line."""
        return shell_path(self.path)

    @cached_property
    def metric(self) -> Metric:
        """The metric that tables and figures report."""
        return reported(self.trials, self.info.objective["metric"], self.info.objective["mode"])

    @property
    def value_column(self) -> str:
        """Column of ``trials`` with the metric at the epoch that the objective selects."""
        return f"{self.info.objective['at']}_{self.metric.name}"

    @property
    def has_pictures(self) -> bool:
        """Whether any trial has predictions of single pictures."""
        return bool(self.trials["n"].notna().any())

    @property
    def validation_words(self) -> str:
        """What trials were validated on, in words."""
        known = self.has_pictures or self.knows_dataset
        return "these pictures" if known else "these validation data"

    @property
    def imported(self) -> Mapping[str, str] | None:
        """``tool``, ``source`` and ``date`` of a run that was imported; None for our own runs."""
        return self.provenance.get("imported")

    @property
    def knows_dataset(self) -> bool:
        """Whether the run names one of our datasets."""
        known = self.provenance.get("dataset") or {}
        # The fingerprint of data that are no dataset of ours is null.
        ours = bool(known.get("path")) and known.get("fingerprint", "") is not None
        return ours or self.data is not None

    @cached_property
    def comparable(self) -> pd.DataFrame:
        """The rows of ``trials`` that completed or were stopped early, and have a value."""
        rows = self.trials[self.trials["status"].isin(COMPARABLE)]
        return rows[rows[self.value_column].notna()]

    @property
    def excluded(self) -> pd.DataFrame:
        """The rows of ``trials`` that diverged, failed, did not fit or are over a limit.

        They are in no mean.
        """
        return self.trials[self.trials["status"].isin(FINISHED.difference(COMPARABLE))]

    @property
    def completed(self) -> pd.DataFrame:
        """The rows of ``trials`` that were trained to the end."""
        return self.comparable[self.comparable["status"] == Status.COMPLETED]


def add_replicates(run: RunData) -> str:
    """Return advice for a run without replicates to estimate the error from."""
    if run.imported:
        return "train configurations with other seeds, and import them too"
    return "train replicates: `python -m tune extend RUN --set replicates=5`"


UNKNOWN = "unknown"
"""Searcher or scheduler of an imported run, if its tool does not tell."""


def adaptive_words(run: RunData) -> str:
    """Return why the configurations of a run with adaptive sampling are no sample of the space."""
    if run.info.searcher == UNKNOWN:
        return "It is not known how configurations were chosen, perhaps by earlier results"
    return f"The searcher {run.info.searcher} chose configurations by earlier results"


def read_run(path: Path, data: Path | None = None, margin: float | None = None) -> RunData:
    """Read the run directory at ``path``.

    Args:
        path: The run directory.
        data: Path of its dataset, if it was moved.
        margin: Smaller differences count as equivalent; None for one percentage point of shares,
            and for no such margin of other metrics, whose scale is not known.

    Raises:
        MissingFileError: ``path`` is not a run directory.
        UserError: No trial has finished yet, or none has a value of the metric, or ``margin`` is
            not positive, or not below 1 for a share.
        NoTrialSucceededError: Trials have finished, but none of them completed or was stopped
            early.
    """
    if not (path / LEDGER_FILE).is_file():
        raise MissingFileError(f"{path} is not a run directory (no {LEDGER_FILE})")
    if not (path / TRIALS_FILE).is_file():
        raise UserError(
            f"{path} has no finished trial yet; see `python -m tune status {shell_path(path)}`"
        )
    table = pq.read_table(path / TRIALS_FILE)
    trials = _frame(table).sort_values("number", ignore_index=True)
    _check_success(path, trials)
    trials, info = with_own_columns(trials, read_table_info(table))
    provenance = path / PROVENANCE_FILE
    spec = path / SPEC_FILE
    run = RunData(
        path=path,
        info=info,
        trials=trials.assign(n=_picture_counts(path, trials)),
        measurements=_frame(pq.read_table(path / MEASUREMENTS_FILE)),
        provenance=json.loads(provenance.read_text("utf-8")) if provenance.is_file() else {},
        spec=spec.read_text("utf-8") if spec.is_file() else "",
        data=data,
    )
    if run.comparable.empty:
        raise UserError(
            f"no trial of {path} has a value of {run.metric.name}, so there is nothing to compare"
        )
    return replace(run, margin=_margin(run.metric, margin))


def _margin(metric: Metric, margin: float | None) -> float:
    if margin is None:
        return MARGIN if metric.is_share else 0.0
    if not 0 < margin < (1 if metric.is_share else inf):
        raise UserError(
            f"the margin must be a difference in {metric.word} above 0"
            + (" and below 1, such as 0.01 for one percentage point" * metric.is_share)
            + f", but got {margin:g}"
        )
    return margin


def read_probabilities(run: RunData, trial_id: str, split: str = "val") -> pd.DataFrame | None:
    """Read a trial's predictions of one split.

    Returns:
        A row per picture: ``image_id``, ``label`` and ``predicted`` (indices of classes) and
        ``probability`` (of the predicted class). None if there are no predictions of that split.
    """
    if run.answers is not None:
        return run.answers.get(trial_id) if split == "val" else None
    found = _read_split(run, trial_id, split)
    if found is None:
        return None
    table, shares = found
    return pd.DataFrame(
        {
            "image_id": table["image_id"].to_pylist(),
            "label": table["label"].to_numpy().astype(np.int64),
            "predicted": shares.argmax(axis=1),
            "probability": shares.max(axis=1),
        }
    )


def read_right_as_written(
    run: RunData, trial_id: str, split: str = "val"
) -> tuple[pa.Array, npt.NDArray[np.bool_]] | None:
    """Read which pictures of one split a trial classified correctly.

    Returns:
        (n,) picture ids in the order of the file, and (n,) whether each was right; None if there
        are no predictions of that split.
    """
    if run.answers is not None:
        answers = run.answers.get(trial_id) if split == "val" else None
        if answers is None:
            return None
        right = (answers["label"] == answers["predicted"]).to_numpy(bool)
        return pa.array(answers["image_id"], pa.string()), right
    found = _read_split(run, trial_id, split)
    if found is None:
        return None
    table, shares = found
    ids = table["image_id"].combine_chunks()
    return ids, shares.argmax(axis=1) == table["label"].to_numpy()


def read_shares(
    run: RunData, trial_id: str, split: str = "val"
) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
    """Read the probabilities of all classes that a trial predicted on one split.

    Returns:
        (n,) picture ids, (n,) labels and (n, classes) probabilities; None if there are no
        predictions of that split.
    """
    found = None if run.answers is not None else _read_split(run, trial_id, split)
    if found is None:
        return None
    table, shares = found
    labels = table["label"].to_numpy().astype(np.int64)
    return table["image_id"].to_pylist(), labels, shares.astype(np.float64)


def _read_split(
    run: RunData, trial_id: str, split: str
) -> tuple[pa.Table, npt.NDArray[Any]] | None:
    """Return the rows of one split, and their (n, classes) probabilities."""
    table = read_predictions(run.path, trial_id)
    if table is None:
        return None
    chosen = pc.equal(table["split"], split)
    if not pc.all(chosen).as_py():
        table = table.filter(chosen)
    if len(table) == 0:
        return None
    shares = table["probabilities"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    return table, shares


def read_confusion(run: RunData, trial_id: str) -> npt.NDArray[np.int64] | None:
    """Count a trial's validation predictions.

    Returns:
        (classes, classes) pictures by true class (rows) and predicted class (columns), or None if
        the trial has no predictions.
    """
    predictions = read_probabilities(run, trial_id)
    if predictions is None:
        return None
    classes = len(run.info.classes)
    pairs = predictions["label"] * classes + predictions["predicted"]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def _frame(table: pa.Table) -> pd.DataFrame:
    """Convert ``table``; columns of integers with missing values stay integers."""
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def _check_success(path: Path, trials: pd.DataFrame) -> None:
    statuses = Counter(trials["status"])
    if any(status in statuses for status in COMPARABLE):
        return
    finished = {status: count for status, count in statuses.items() if status in FINISHED}
    if not finished:
        raise UserError(
            f"{path} has no finished trial yet; see `python -m tune status {shell_path(path)}`"
        )
    told = ", ".join(f"{count} {status}" for status, count in sorted(finished.items()))
    reason = next((r for r in trials["reason"] if r), "no reason was written")
    raise NoTrialSucceededError(f"no trial of {path} succeeded ({told}); first: {reason}")


def _picture_counts(path: Path, trials: pd.DataFrame) -> "pd.Series[Any]":
    """Return the number of validation pictures of each trial, reading one trial per fold."""
    folds = trials["fold"] if "fold" in trials else pd.Series(pd.NA, index=trials.index)
    counts = pd.Series(pd.NA, index=trials.index, dtype="Int64")
    for _, rows in trials.groupby(folds.fillna(-1)):
        tables = (read_predictions(path, trial_id) for trial_id in rows["trial_id"])
        table = next((table for table in tables if table is not None), None)
        if table is not None:
            counts[rows.index] = pc.sum(pc.equal(table["split"], "val")).as_py() or 0
    return counts
