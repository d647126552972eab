"""Writes a run directory from the results of another tool; every table and the report read it."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.imports.choices import Choices, metric_name, metric_of, mode_of
from analysis.imports.files import ImportedRun, write_files
from analysis.imports.found import At, Found, Mode
from analysis.imports.trials import Imported, cleaned, replicated, trials_of
from analysis.run.run_data import UNKNOWN
from fairsweep.errors import UserError
from tune.run.tables import Sampling, TableInfo
from tune.run.trial import Status

_SEARCHERS: Mapping[str, tuple[Sampling, str]] = {
    "grid": ("every", "grid search"),
    "random": ("drawn", "random search"),
    "adaptive": ("adaptive", "a searcher that chooses by earlier results"),
}
_WHOLE_GRID = "a grid (every combination of the values was trained)"
_NOT_KNOWN = "a searcher that is not known"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What an import wrote."""

    run: Path
    trials: int
    configurations: int
    replicated: int
    objective: Mapping[str, str]
    notes: tuple[str, ...]


def write_run(found: Found, out: Path, choices: Choices) -> Written:
    """Write ``found`` as the run directory ``out``, completely or not at all.

    Raises:
        UserError: ``out`` exists; or the metric, its direction or a column is not known.
    """
    if out.exists():
        raise UserError(f"{out} exists already; choose another --out, or remove it")
    known = cleaned(found)
    asked = choices.metric and _cleaned_name(found, choices.metric)
    metric = metric_of(known, asked)
    mode = mode_of(known, metric, choices.mode)
    trials, left_out = trials_of(known, metric, choices)
    run = _run(known, trials, metric, mode, choices)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        write_files(run, partial, out.name)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    notes = list(known.notes)
    if left_out:
        notes.append(
            f"Left out, because they repeat another training with the same seed or the same "
            f"values: {', '.join(left_out)}."
        )
    return Written(
        run=out,
        trials=len(trials),
        configurations=len({each.trial.configuration_id for each in trials}),
        replicated=replicated(trials),
        objective=run.objective,
        notes=tuple(notes),
    )


def _cleaned_name(found: Found, asked: str) -> str:
    return metric_name(asked) if asked in found.metrics() else asked


def _run(
    found: Found, trials: Sequence[Imported], metric: str, mode: Mode, choices: Choices
) -> ImportedRun:
    at: At = choices.at or found.at or "best"
    objective = {"metric": metric, "mode": mode, "at": at}
    types = _types(trials)
    searched = [
        name
        for name in types
        if name not in ("seed", "fold") and len({str(_value(t, name)) for t in trials}) > 1
    ]
    sampling, searcher, words = _searcher(found, trials, searched, choices)
    stopped = any(each.trial.status is Status.EARLY_STOPPED for each in trials)
    info = TableInfo(
        hyperparameters=tuple(types),
        searched=tuple(searched),
        tied={k: v for k, v in found.tied.items() if {k, v} <= set(searched)},
        objective=objective,
        classes=(),
        searcher=searcher,
        searcher_words=words,
        sampling=sampling,
        scheduler=found.scheduler or (UNKNOWN if stopped else "none"),
        scheduler_words=found.scheduler_words
        or ("early stopping" if stopped else "no early stopping"),
        rungs=(),
    )
    return ImportedRun(
        found=found,
        trials=trials,
        objective=objective,
        info=info,
        types=types,
        metrics=found.metrics(),
        date=datetime.now(UTC),
    )


def _searcher(
    found: Found, trials: Sequence[Imported], searched: Sequence[str], choices: Choices
) -> tuple[Sampling, str, str]:
    """Return how configurations were chosen: sampling, searcher, searcher in words.

    If every combination of the values was trained, the configurations are the whole space, however
    the searcher chose their order.
    """
    if choices.searcher:
        sampling, words = _SEARCHERS[choices.searcher]
        return sampling, choices.searcher, words
    if found.sampling and found.searcher:
        return found.sampling, found.searcher, found.searcher_words or found.searcher
    if _is_grid(trials, searched):
        return "every", "grid", _WHOLE_GRID
    if found.chosen_freely:
        sampling, words = _SEARCHERS["random"]
        return sampling, "random", words
    return "adaptive", UNKNOWN, _NOT_KNOWN


def _is_grid(trials: Sequence[Imported], searched: Sequence[str]) -> bool:
    points = {tuple(str(_value(t, name)) for name in searched) for t in trials}
    levels = [len({point[place] for point in points}) for place in range(len(searched))]
    return len(points) > 1 and math.prod(levels) == len(points)


def _value(each: Imported, name: str) -> Any:
    return each.trial.config.get(name)


def _types(trials: Sequence[Imported]) -> dict[str, pa.DataType]:
    names = dict.fromkeys(name for each in trials for name in each.trial.config)
    return {name: _type([_value(each, name) for each in trials]) for name in names}


def _type(values: Sequence[Any]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds <= {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()
