"""Builds the Parquet tables of a run from its sweep, at any time."""

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.config import FIELDS, TrainConfig
from models.registry import FAMILIES
from tune.run.directory import MEASUREMENTS_FILE, TRIALS_FILE
from tune.run.tables import TableInfo, identity_row, measurements_table, trials_table, write_table
from tune.run.trial import COSTS, LATENCY, MEASURED, METRICS, TIMINGS, Trial
from tune.sweep.networks import names_own_families_alone
from tune.sweep.own_config import FRAME
from tune.sweep.schedulers.registry import SCHEDULERS
from tune.sweep.searchers.registry import SEARCHERS
from tune.sweep.spec import SweepSpec
from tune.sweep.sweep import Sweep


def write_tables(run: Path, sweep: Sweep, classes: Iterable[str]) -> None:
    """Write ``trials.parquet`` and ``measurements.parquet``, each atomically."""
    trials = sorted(sweep.trials.values(), key=lambda trial: trial.number)
    columns = table_columns(sweep)
    earlier = _has_earlier_names(sweep)
    rows = [_row(trial, sweep, columns, earlier_names=earlier) for trial in trials]
    info = table_info(sweep, classes)
    table = trials_table(
        rows,
        info,
        columns.hyperparameters,
        columns.metrics,
        latency=sweep.spec.times_networks,
    )
    write_table(table, run / TRIALS_FILE)
    write_table(measurements_table(trials, columns.measured), run / MEASUREMENTS_FILE)


def table_info(sweep: Sweep, classes: Iterable[str]) -> TableInfo:
    """Return the meaning of the columns in the trials table."""
    spec = sweep.spec
    space, searcher = spec.search_space, SEARCHERS[spec.searcher.name]
    return TableInfo(
        hyperparameters=tuple(table_columns(sweep).hyperparameters),
        # Configurations are evaluated on folds; folds are not searched.
        searched=tuple(name for name in space.names() if name != "fold"),
        tied=space.all_ties(),
        objective=spec.objective.model_dump(),
        classes=tuple(classes),
        searcher=spec.searcher.name,
        searcher_words=searcher.words,
        sampling=searcher.sampling,
        scheduler=spec.scheduler.name,
        scheduler_words=SCHEDULERS[spec.scheduler.name].words,
        rungs=sweep.scheduler.rungs,
    )


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """The columns of a run's tables that depend on who trains its trials."""

    hyperparameters: Mapping[str, pa.DataType]
    metrics: tuple[str, ...] = METRICS
    """Those with a best and a last value in the trials table."""
    measured: tuple[str, ...] = (*MEASURED, *TIMINGS)
    """Columns of the measurements table."""


def table_columns(sweep: Sweep) -> TableColumns:
    """Return the columns of a run's tables; of own training code, those that occur."""
    known = hyperparameter_types(sweep.spec)
    if sweep.spec.train is None:
        return TableColumns(hyperparameters=known)
    trials = sweep.trials.values()
    wanted = [each.metric for each in sweep.spec.objectives if each.metric not in COSTS]
    yielded = (name for t in trials for m in t.measurements for name in m.values)
    metrics = tuple(name for name in dict.fromkeys([*wanted, *yielded]) if name != "seconds")
    names = dict.fromkeys(name for trial in trials for name in trial.config if name not in FRAME)
    columns = {name: _column([trial.config.get(name) for trial in trials]) for name in names}
    frame = {name: known[name] for name in FRAME}
    return TableColumns(
        hyperparameters=columns | frame, metrics=metrics, measured=(*metrics, "seconds")
    )


def _column(values: Iterable[Any]) -> pa.DataType:
    """Return the type of a column with these values: numbers, booleans, or else words."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds and kinds <= {int, float}:
        return pa.int64() if kinds == {int} else pa.float64()
    return pa.string()


def hyperparameter_types(spec: SweepSpec) -> dict[str, pa.DataType]:
    """Return the column type of every hyperparameter, with those of own networks at the end."""
    hints = typing.get_type_hints(TrainConfig)
    columns = {name: _type(hints[name]) for name in FIELDS}
    if not spec.networks:
        return columns
    columns["code"] = pa.string()
    # Our networks and own ones may have hyperparameters of one name and of different types.
    used = {} if names_own_families_alone(spec.fixed, spec.space) else dict(columns)
    for network in spec.networks.values():
        for name, known in network.arguments.hyperparameters.items():
            kind = _COLUMNS[known.kind]
            columns[name] = used[name] = kind if used.get(name, kind) == kind else pa.string()
    return columns


_COLUMNS = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}


def _type(hint: Any) -> pa.DataType:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if is_union else (hint,)
    for kind, column in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64())):
        if set(options) <= {kind, type(None)}:
            return column
    return pa.string()  # Words, or both numbers and words, as in fc_width.


def _has_earlier_names(sweep: Sweep) -> bool:
    """Return whether the spec or a trial has a hyperparameter under its earlier name.

    Then all trials have the value under the earlier name, so that a run started by an earlier
    version keeps its columns when it is resumed or extended.
    """
    spec, space = sweep.spec, sweep.spec.search_space
    if spec.train is not None:
        return False
    chosen = ({**spec.fixed, **space.at(point)} for point in space.samples_of_each())
    configs = (trial.config for trial in sweep.trials.values())
    return any(name in values for values in chain(chosen, configs) for name in _renamed(values))


def _renamed(values: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the earlier names of the family's hyperparameters → their current names."""
    family = FAMILIES.get(values.get("family", TrainConfig.family))
    return {} if family is None or "train" in values else family.earlier_names


def _named(config: Mapping[str, Any], *, earlier_names: bool) -> dict[str, Any]:
    """Return ``config`` with the renamed hyperparameters under their earlier or current names."""
    named = dict(config)
    for earlier, current in _renamed(config).items():
        old, new = (earlier, current) if not earlier_names else (current, earlier)
        if old in named:
            named[new] = named.pop(old)
    return named


def _row(
    trial: Trial, sweep: Sweep, columns: TableColumns, *, earlier_names: bool
) -> dict[str, Any]:
    objective = sweep.spec.objective
    best, last = trial.best(objective.metric, objective.mode), trial.last
    types = columns.hyperparameters
    named = _named(trial.config, earlier_names=earlier_names)
    config = {
        name: str(value) if types.get(name) == pa.string() else value
        for name, value in named.items()
    }
    best_values, last_values = (at.values if at else {} for at in (best, last))
    return {
        **config,
        **identity_row(trial),
        "epochs_trained": len(trial.measurements),
        "best_epoch": best.epoch if best else None,
        **{f"best_{metric}": best_values.get(metric) for metric in columns.metrics},
        **{f"last_{metric}": last_values.get(metric) for metric in columns.metrics},
        "parameters": trial.parameters,
        LATENCY: trial.latency_ms,
        "seconds": trial.seconds,
        "device_seconds": trial.device_seconds,
        "host": trial.host,
        "device": trial.device,
        "nodes_lost": trial.nodes_lost,
    }
