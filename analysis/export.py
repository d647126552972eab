"""Exports a run as an Optuna study in a SQLite file, for optuna-dashboard."""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from analysis.run.distributions import distribution, plain
from analysis.run.ledger import times
from analysis.run.objectives import Objective, objective_values, objectives_of
from analysis.run.run_data import RunData
from fairsweep.errors import UserError
from tune.run.trial import Status

STATES = {
    Status.PENDING: TrialState.WAITING,
    Status.RUNNING: TrialState.RUNNING,
    Status.PAUSED: TrialState.RUNNING,
    Status.INTERRUPTED: TrialState.RUNNING,
    Status.COMPLETED: TrialState.COMPLETE,
    Status.EARLY_STOPPED: TrialState.PRUNED,
    Status.DIVERGED: TrialState.FAIL,
    Status.INFEASIBLE: TrialState.FAIL,
    Status.OVER_LIMIT: TrialState.FAIL,
    Status.FAILED: TrialState.FAIL,
}
"""Status of a trial → state of an Optuna trial."""
_DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
FACTS = (
    *("trial_id", "configuration_id", "name", "phase", "replicate", "seed", "fold", "status"),
    *("reason", "epochs_trained", "best_epoch", "parameters", "seconds", "device_seconds"),
    *("best_val_accuracy", "last_val_accuracy", "best_val_macro_f1", "last_val_macro_f1"),
)
"""Columns of the trials table that are exported as user attributes."""


def export(run: RunData, out: Path) -> int:
    """Write all trials of ``run`` with their learning curves to a new SQLite file at ``out``.

    Returns:
        The number of trials.

    Raises:
        UserError: ``out`` exists already, or cannot be written.
    """
    if out.exists():
        raise UserError(f"{out} exists already; choose another --out, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objectives = objectives_of(run)
    try:
        # Build it in memory: one transaction per trial on disk takes minutes for a large sweep.
        storage = optuna.storages.RDBStorage("sqlite://")
        study = optuna.create_study(
            storage=storage,
            study_name=run.name,
            directions=[_DIRECTIONS[objective["mode"]] for objective in objectives],
        )
        for key, value in _study_facts(run, objectives).items():
            study.set_user_attr(key, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([objective["metric"] for objective in objectives])
        study.add_trials(_trials(run, objectives))
        _save(storage, out)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return len(run.trials)


def _study_facts(run: RunData, objectives: Sequence[Objective]) -> dict[str, Any]:
    dataset = run.provenance.get("dataset") or {}
    written = [dict(objective) for objective in objectives]
    return {
        "objective": written if len(written) > 1 else written[0],
        "searcher": run.info.searcher,
        "searcher_words": run.info.searcher_words,
        "sampling": run.info.sampling,
        "scheduler": run.info.scheduler,
        "scheduler_words": run.info.scheduler_words,
        "tied": dict(run.info.tied),
        "dataset": dict(dataset),
        "command": run.provenance.get("command"),
    }


def _trials(run: RunData, objectives: Sequence[Objective]) -> list[FrozenTrial]:
    """Build an Optuna trial for each trial, in the order of their numbers."""
    searched = [name for name in run.info.searched if run.trials[name].notna().any()]
    space = {name: distribution(run.trials[name]) for name in searched}
    fixed = [name for name in run.info.hyperparameters if name not in (*space, "seed", "fold")]
    metric = objectives[0]["metric"]
    curves = {
        trial_id: {
            int(epoch): float(value)
            for epoch, value in zip(rows["epoch"], rows[metric], strict=True)
            if math.isfinite(value)
        }
        for trial_id, rows in run.measurements[["trial_id", "epoch", metric]].groupby("trial_id")
    }
    spans = times(run)
    rows = run.trials.to_dict("records")
    values = objective_values(run, objectives).to_numpy().tolist()
    return [
        _trial(row, space, its_values, curves, spans, fixed)
        for row, its_values in zip(rows, values, strict=True)
    ]


def _trial(
    row: dict[Any, Any],
    space: Mapping[str, BaseDistribution],
    values: Sequence[float],
    curves: Mapping[Any, dict[int, float]],
    spans: Mapping[str, tuple[float, float]],
    fixed: Sequence[str],
) -> FrozenTrial:
    used = {name: plain(row[name]) for name in space if plain(row[name]) is not None}
    state = STATES[Status(row["status"])]
    started, ended = spans.get(row["trial_id"], (0.0, 0.0))
    has_values = state in (TrialState.COMPLETE, TrialState.PRUNED) and not any(
        math.isnan(value) for value in values
    )
    return FrozenTrial(
        number=int(row["number"]),
        trial_id=-1,
        state=state,
        value=None,
        values=values if has_values else None,
        datetime_start=None if state is TrialState.WAITING else _time(started),
        datetime_complete=_time(ended) if state.is_finished() else None,
        params=used,
        distributions={name: space[name] for name in used},
        user_attrs={
            **{key: plain(row[key]) for key in FACTS if key in row},
            "fixed": {name: plain(row[name]) for name in fixed if not pd.isna(row[name])},
        },
        system_attrs={},
        intermediate_values=curves.get(row["trial_id"], {}),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _save(storage: optuna.storages.RDBStorage, out: Path) -> None:
    """Write the complete database, or nothing if that fails."""
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with storage.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("VACUUM INTO :file"), {"file": str(partial)})
        partial.replace(out)
    except OperationalError as error:
        raise UserError(
            f"{out} cannot be written ({error.orig}); free some space or choose another --out"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
        storage.engine.dispose()
