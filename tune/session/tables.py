"""Builds the Parquet tables of a run from its sweep, at any time."""

import types
import typing
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.config import FIELDS, TrainConfig
from models.registry import FAMILIES
from tune.run.directory import MEASUREMENTS_FILE, TRIALS_FILE
from tune.run.tables import TableInfo, measurements_table, trials_table, write_table
from tune.run.trial import METRICS, Trial
from tune.sweep.networks import names_own_families_alone
from tune.sweep.schedulers import SCHEDULERS
from tune.sweep.searchers.registry import SEARCHERS
from tune.sweep.spec import SweepSpec
from tune.sweep.sweep import Sweep


def write_tables(run: Path, sweep: Sweep, classes: Iterable[str]) -> None:
    """Write ``trials.parquet`` and ``measurements.parquet``, each atomically."""
    trials = sorted(sweep.trials.values(), key=lambda trial: trial.number)
    earlier = _has_earlier_names(sweep)
    types = hyperparameter_types(sweep.spec)
    rows = [_row(trial, sweep, types, earlier_names=earlier) for trial in trials]
    table = trials_table(rows, table_info(sweep, classes), types)
    write_table(table, run / TRIALS_FILE)
    write_table(measurements_table(trials), run / MEASUREMENTS_FILE)


def table_info(sweep: Sweep, classes: Iterable[str]) -> TableInfo:
    """Return the meaning of the columns in the trials table."""
    spec = sweep.spec
    space, searcher = spec.search_space, SEARCHERS[spec.searcher.name]
    return TableInfo(
        hyperparameters=tuple(hyperparameter_types(spec)),
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
    chosen = ({**spec.fixed, **space.at(point)} for point in space.samples_of_each())
    configs = (trial.config for trial in sweep.trials.values())
    return any(name in values for values in chain(chosen, configs) for name in _renamed(values))


def _renamed(values: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the earlier names of the family's hyperparameters → their current names."""
    family = FAMILIES.get(values.get("family", TrainConfig.family))
    return {} if family is None else family.earlier_names


def _named(config: Mapping[str, Any], *, earlier_names: bool) -> dict[str, Any]:
    """Return ``config`` with the renamed hyperparameters under their earlier or current names."""
    named = dict(config)
    for earlier, current in _renamed(config).items():
        old, new = (earlier, current) if not earlier_names else (current, earlier)
        if old in named:
            named[new] = named.pop(old)
    return named


def _row(
    trial: Trial, sweep: Sweep, types: Mapping[str, pa.DataType], *, earlier_names: bool
) -> dict[str, Any]:
    objective = sweep.spec.objective
    best, last = trial.best(objective.metric, objective.mode), trial.last
    strings = {name for name, kind in types.items() if kind == pa.string()}
    config = {
        name: str(value) if name in strings else value
        for name, value in _named(trial.config, earlier_names=earlier_names).items()
    }
    return {
        **config,
        "trial_id": trial.id,
        "configuration_id": trial.configuration_id,
        "number": trial.number,
        "name": trial.name,
        "phase": trial.phase,
        "replicate": trial.replicate,
        "status": trial.status,
        "reason": trial.reason,
        "epochs_trained": len(trial.measurements),
        "best_epoch": best.epoch if best else None,
        **{f"best_{metric}": best.values[metric] if best else None for metric in METRICS},
        **{f"last_{metric}": last.values[metric] if last else None for metric in METRICS},
        "parameters": trial.parameters,
        "seconds": trial.seconds,
        "device_seconds": trial.device_seconds,
        "host": trial.host,
        "device": trial.device,
        "nodes_lost": trial.nodes_lost,
    }
