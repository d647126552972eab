"""Reads an Optuna study: its parameters, values, intermediate values and states."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from analysis.imports.found import At, Found, FoundTrial
from fairsweep.errors import UserError
from tune.run.trial import Status

_STATUSES = {
    TrialState.COMPLETE: Status.COMPLETED,
    TrialState.PRUNED: Status.EARLY_STOPPED,
    TrialState.FAIL: Status.FAILED,
    TrialState.RUNNING: Status.RUNNING,
    TrialState.WAITING: Status.PENDING,
}
INTERMEDIATE = "intermediate_value"
"""Metric of the intermediate values, where the value of a trial is neither the best nor the last of
them."""
_JOURNALS = (".log", ".journal")


def read_optuna(storage: str, study: str | None) -> Found:
    """Read a study of ``storage``, a URL of a database or the path of a database or journal file.

    Raises:
        UserError: The storage cannot be read, or has no such study, or several and none is named.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return _found(_load(storage, study), storage)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _load(storage: str, study: str | None) -> optuna.Study:
    try:
        opened = _open(storage)
        names = optuna.get_all_study_names(opened)
        if study is None and len(names) == 1:
            study = names[0]
        if study not in names:
            told = ", ".join(names) or "none"
            raise UserError(f"{storage} holds these studies: {told}; name one after the storage")
        return optuna.load_study(study_name=study, storage=opened)
    except (SQLAlchemyError, OSError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{storage} cannot be read as a storage of Optuna: {reason}") from error


def _open(storage: str) -> Any:
    path = Path(storage.removeprefix("sqlite:///"))
    local = "://" not in storage or storage.startswith("sqlite:///")
    if local and not path.is_file():
        # Optuna would make an empty database there.
        raise UserError(f"there is no storage at {path}")
    if path.suffix in _JOURNALS:
        backend = JournalFileBackend(str(path))
        return optuna.storages.JournalStorage(backend)
    return f"sqlite:///{path}" if local else storage


def _found(study: optuna.Study, storage: str) -> Found:
    facts = study.user_attrs
    trials = study.get_trials(deepcopy=False)
    ours = isinstance(facts.get("objective"), Mapping | list) and "sampling" in facts
    names = study.metric_names or [f"value_{n}" for n in range(len(study.directions))]
    names = ["value"] if study.metric_names is None and len(names) == 1 else names
    at, separate = ("best", False) if len(names) > 1 else _place_of_value(trials, study)
    objective = _first_objective(facts) if ours else {}
    return Found(
        tool="Optuna",
        source=f"{storage.split('@')[-1]}, study {study.study_name}",
        trials=tuple(_trial(trial, names, ours=ours, separate=separate) for trial in trials),
        metric=names[0],
        mode="min" if study.directions[0] is optuna.study.StudyDirection.MINIMIZE else "max",
        at=objective.get("at", at),
        tied=facts.get("tied", {}) if ours else {},
        **{key: facts[key] for key in _HOW if ours and key in facts},
    )


_HOW = ("sampling", "searcher", "searcher_words", "scheduler", "scheduler_words")


def _first_objective(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    written: Any = facts["objective"]
    first: Mapping[str, Any] = written[0] if isinstance(written, list) else written
    return first


def _place_of_value(trials: Sequence[FrozenTrial], study: optuna.Study) -> tuple[At, bool]:
    """Return which intermediate value the values of complete trials are; and whether none is."""
    lower = study.directions[0] is optuna.study.StudyDirection.MINIMIZE
    pick = min if lower else max
    known = [
        (t.value, [v for _, v in sorted(t.intermediate_values.items()) if not math.isnan(v)])
        for t in trials
        if t.state is TrialState.COMPLETE
    ]
    pairs = [(value, curve) for value, curve in known if value is not None and curve]
    if all(math.isclose(value, pick(curve)) for value, curve in pairs):
        return "best", False
    if all(math.isclose(value, curve[-1]) for value, curve in pairs):
        return "last", False
    return "last", True


def _trial(trial: FrozenTrial, names: Sequence[str], *, ours: bool, separate: bool) -> FoundTrial:
    facts = trial.user_attrs if ours else {}
    curve = dict(trial.intermediate_values)
    name = INTERMEDIATE if separate else names[0]
    measurements: dict[int, dict[str, float]] = {step: {name: v} for step, v in curve.items()}
    values = trial.values if trial.state is TrialState.COMPLETE else None
    if values and (separate or not curve):
        last = max(curve, default=1)
        measurements.setdefault(last, {}).update(zip(names, values, strict=True))
    status = Status(facts["status"]) if "status" in facts else _STATUSES[trial.state]
    if status is Status.INTERRUPTED:
        status = Status.RUNNING
    started, ended = (_seconds(time, ours=ours) for time in _times(trial))
    known = {"seconds": ended - started} if started is not None and ended is not None else {}
    return FoundTrial(
        label=f"trial {trial.number}",
        values={**facts.get("fixed", {}), **trial.params},
        measurements=measurements,
        status=status,
        reason=str(facts.get("reason") or _reason(trial)),
        started=started,
        ended=ended,
        facts={**known, **facts},
    )


def _times(trial: FrozenTrial) -> tuple[datetime | None, datetime | None]:
    return trial.datetime_start, trial.datetime_complete


def _seconds(time: datetime | None, *, ours: bool) -> float | None:
    # Optuna writes local times; an exported run of ours has UTC.
    if time is None:
        return None
    return time.replace(tzinfo=UTC).timestamp() if ours else time.timestamp()


def _reason(trial: FrozenTrial) -> str:
    if trial.state is TrialState.PRUNED:
        return "pruned"
    if trial.state is TrialState.FAIL:
        return str(trial.system_attrs.get("fail_reason", "it failed; Optuna does not say why"))
    return ""
