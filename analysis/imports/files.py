"""The files of an imported run: spec, provenance, tables and ledger."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.imports.found import Found
from analysis.imports.trials import Imported
from fairsweep.yaml_text import dump_yaml
from tune.run.directory import (
    MEASUREMENTS_FILE,
    PROVENANCE_FILE,
    SCHEMA_VERSION,
    SPEC_FILE,
    TRIALS_FILE,
)
from tune.run.events import (
    Event,
    MeasurementTaken,
    SweepFinished,
    SweepStarted,
    TrialEnded,
    TrialProposed,
    TrialStarted,
)
from tune.run.ledger import write_ledger
from tune.run.tables import TableInfo, identity_row, measurements_table, trials_table, write_table
from tune.run.trial import Figures, Measurement, Status


@dataclass(frozen=True, kw_only=True)
class ImportedRun:
    """Everything that the files of the run are made from."""

    found: Found
    trials: Sequence[Imported]
    objective: Mapping[str, str]
    info: TableInfo
    types: Mapping[str, pa.DataType]
    metrics: Sequence[str]
    date: datetime


def write_files(run: ImportedRun, folder: Path, name: str) -> None:
    """Write all files of the run called ``name`` into ``folder``."""
    imported = {
        "tool": run.found.tool,
        "source": run.found.source,
        "date": f"{run.date:%Y-%m-%d}",
    }
    spec = dump_yaml({"name": name, "imported": imported, "objective": dict(run.objective)})
    (folder / SPEC_FILE).write_text(spec, encoding="utf-8")
    provenance = {
        "schema_version": SCHEMA_VERSION,
        "imported": imported,
        "dataset": {"path": None, "fingerprint": None},
        "notes": list(run.found.notes),
    }
    (folder / PROVENANCE_FILE).write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
    rows = [_row(each, run) for each in run.trials]
    write_table(trials_table(rows, run.info, run.types, run.metrics), folder / TRIALS_FILE)
    trials = [each.trial for each in run.trials]
    timed = any(each.found.seconds for each in run.trials)
    names = [*run.metrics, *(["seconds"] if timed else [])]
    write_table(measurements_table(trials, names), folder / MEASUREMENTS_FILE)
    write_ledger(folder, _events(run, spec))


def _row(each: Imported, run: ImportedRun) -> dict[str, Any]:
    trial, facts = each.trial, each.found.facts
    best = trial.best(run.objective["metric"], run.objective["mode"])
    strings = {name for name, kind in run.types.items() if kind == pa.string()}
    config = {n: _text(v) if n in strings else v for n, v in trial.config.items()}
    seconds = sum(each.found.seconds.values()) if each.found.seconds else facts.get("seconds")
    last: dict[str, float] = {}
    for measurement in trial.measurements:
        last |= {n: v for n, v in measurement.values.items() if not math.isnan(v)}
    return {
        **config,
        **identity_row(trial),
        "epochs_trained": trial.measurements[-1].epoch if trial.measurements else 0,
        "best_epoch": best.epoch if best else None,
        **{f"best_{name}": best.values.get(name) if best else None for name in run.metrics},
        **{f"last_{name}": last.get(name) for name in run.metrics},
        "parameters": facts.get("parameters"),
        "seconds": seconds,
        "device_seconds": facts.get("device_seconds"),
        "nodes_lost": None,
    }


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, list | dict | tuple) else str(value)


def _events(run: ImportedRun, spec: str) -> Iterator[Event]:
    """Yield the events of all trials in the order of their times, as far as these are known."""
    now = run.date.timestamp()
    timed = sorted(
        (event for each in run.trials for event in _events_of(each, now, run.metrics)),
        key=lambda event: event.time,
    )
    first, last = (timed[0].time, timed[-1].time) if timed else (now, now)
    yield SweepStarted(time=first, spec=spec)
    yield from timed
    yield SweepFinished(time=last)


def _events_of(each: Imported, now: float, metrics: Sequence[str]) -> Iterator[Event]:
    trial, found = each.trial, each.found
    known = [time for time in (found.started, *found.times.values(), found.ended) if time]
    time = found.started or (min(known) if known else now)
    yield TrialProposed(
        time=time,
        trial=trial.id,
        configuration_id=trial.configuration_id,
        number=trial.number,
        name=trial.name,
        phase=trial.phase,
        replicate=trial.replicate,
        config=trial.config,
        epochs=trial.epochs,
    )
    if trial.status is Status.PENDING:
        return
    yield TrialStarted(time=time, trial=trial.id, devices=1.0)
    for measurement in trial.measurements:
        time = max(time, found.times.get(measurement.epoch, time))
        yield MeasurementTaken(
            time=time, trial=trial.id, epoch=measurement.epoch, values=_all(measurement, metrics)
        )
    if trial.ending is not None:
        ended = max(time, found.ended or time)
        yield TrialEnded(
            time=ended, trial=trial.id, status=trial.ending.status, reason=trial.ending.reason
        )


def _all(measurement: Measurement, metrics: Sequence[str]) -> Figures:
    names = (*metrics, "seconds")
    return Figures({name: measurement.values.get(name, math.nan) for name in names})
