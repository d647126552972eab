"""Reads the results folder of Ray Tune without Ray: its state, and a result per epoch and trial.

Written for the layout of Ray 2.60. Nothing is unpickled, so no code of the folder runs.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.imports.found import Found, FoundTrial, flat
from fairsweep.errors import MissingFileError, UserError
from tune.run.trial import Status

_STATE = "experiment_state-*.json"
_GRID_OR_RANDOM = "basic-variant-state-*.json"
"""Written by the searcher that chooses configurations without looking at results."""
_OF_RAY = frozenset(
    {
        *("timestamp", "checkpoint_dir_name", "done", "training_iteration", "trial_id", "date"),
        *(
            "time_this_iter_s",
            "time_total_s",
            "pid",
            "hostname",
            "node_ip",
            "config",
            "should_checkpoint",
        ),
        *("time_since_restore", "iterations_since_restore", "experiment_tag", "warmup_time"),
        *("timesteps_since_restore", "timesteps_total", "episodes_total"),
    }
)
_STATUSES = {"TERMINATED": Status.COMPLETED, "ERROR": Status.FAILED, "PENDING": Status.PENDING}
"""Ray's status → ours; a trial that has any other one had not ended."""


def read_ray(folder: Path) -> Found:
    """Read all trials below ``folder``.

    Raises:
        MissingFileError: The folder does not exist.
        UserError: It is not a results folder of Ray Tune, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder} is not a folder; give one that Ray Tune wrote")
    places = sorted({path.parent for path in folder.rglob("params.json")})
    if not places:
        raise UserError(
            f"{folder} holds no trial of Ray Tune (a folder with params.json); give the folder "
            f"with {_STATE}"
        )
    state = _state(folder)
    trials = _states_of_trials(state)
    asked = [flat(trial.get("evaluated_params") or {}) for trial in trials.values()]
    chosen_freely = bool(list(folder.glob(_GRID_OR_RANDOM))) and any(asked)
    return Found(
        tool="Ray Tune",
        source=str(folder),
        trials=tuple(_trial(place, trials) for place in places),
        metric=(state.get("runner_data") or {}).get("_metric"),
        chosen_freely=chosen_freely,
        names_stops=False,
    )


def _state(folder: Path) -> dict[str, Any]:
    files = sorted(folder.glob(_STATE))
    return _read_json(files[-1]) if files else {}


def _states_of_trials(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return trial id → its recorded state."""
    read = [json.loads(entry[0]) for entry in state.get("trial_data", ())]
    return {str(trial.get("trial_id")): trial for trial in read}


def _trial(place: Path, states: Mapping[str, Mapping[str, Any]]) -> FoundTrial:
    results = list(_results(place))
    label = next((str(r["trial_id"]) for r in results if "trial_id" in r), place.name)
    state = states.get(label) or next((s for i, s in states.items() if i in place.name), {})
    status = _STATUSES.get(str(state.get("status", "TERMINATED")), Status.RUNNING)
    error = next(iter(place.glob("error.txt")), None)
    by_epoch = {int(r.get("training_iteration", n)): r for n, r in enumerate(results, start=1)}
    return FoundTrial(
        label=label,
        values=flat(_read_json(place / "params.json")),
        measurements={epoch: _metrics(result) for epoch, result in by_epoch.items()},
        status=Status.FAILED if error else status,
        reason=_last_line(error) if error else "",
        seconds=_numbers(by_epoch, "time_this_iter_s"),
        times=_numbers(by_epoch, "timestamp"),
    )


def _results(place: Path) -> Iterator[dict[str, Any]]:
    """Yield the results of a trial from ``result.json``, or else from ``progress.csv``."""
    lines, table = place / "result.json", place / "progress.csv"
    if lines.is_file() and lines.stat().st_size:
        for number, line in enumerate(lines.read_text("utf-8").splitlines(), start=1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{lines}, line {number} is damaged: {error}") from error
    elif table.is_file():
        with table.open(encoding="utf-8", newline="") as rows:
            yield from (_plain(row) for row in csv.DictReader(rows))


def _plain(row: Mapping[str, str]) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for name, text in row.items():
        try:
            numbers[name] = float(text)
        except ValueError:
            numbers[name] = text
    return numbers


def _metrics(result: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in flat(result).items()
        if name.split(".")[0] not in _OF_RAY
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    }


def _numbers(results: Mapping[int, Mapping[str, Any]], name: str) -> dict[int, float]:
    found = {epoch: result.get(name) for epoch, result in results.items()}
    return {e: float(v) for e, v in found.items() if isinstance(v, int | float)}


def _last_line(error: Path) -> str:
    lines = [line.strip() for line in error.read_text("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it failed without a message")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return values
