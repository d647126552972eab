"""Turns found trials into trials of a run: ids, configurations, replicates, statuses and names."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.imports.choices import Choices, metric_name, seed_of
from analysis.imports.found import Found, FoundTrial, from_zero
from analysis.run.column_names import TAKEN, column_name
from analysis.run.hyperparameters import level_text
from tune.run.tables import TRIAL_COLUMNS
from tune.run.trial import Ending, Figures, Measurement, Status, Trial, is_metric_name

RESERVED = frozenset({*(name for name, _ in TRIAL_COLUMNS), *TAKEN, "fold", "folds"})
"""Names that no imported hyperparameter keeps, because columns of tables have them."""
LONGEST_NAME = 60
"""Characters of a configuration's name; where values need more, it is numbered instead."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One trial of the run, and what the other tool recorded of it."""

    trial: Trial
    found: FoundTrial


def cleaned(found: Found) -> Found:
    """Return ``found`` with metric and hyperparameter names that tables can hold, epochs from 1."""
    metrics = {name: metric_name(name) for name in found.metrics()}
    metrics |= {n: f"metric_{word}" for n, word in metrics.items() if not is_metric_name(word)}
    shift = 1 if from_zero(found.trials) else 0
    trials = tuple(_cleaned(trial, metrics, shift) for trial in found.trials)
    notes = found.notes + (("Steps are counted from 0 there, and from 1 here.",) if shift else ())
    metric = found.metric and metrics.get(found.metric, found.metric)
    return replace(found, trials=trials, metric=metric, notes=notes)


def _cleaned(trial: FoundTrial, metrics: Mapping[str, str], shift: int) -> FoundTrial:
    taken = {*RESERVED, *metrics.values()}
    return replace(
        trial,
        values={column_name(name, taken): v for name, v in trial.values.items()},
        measurements={
            epoch + shift: {metrics[name]: value for name, value in values.items()}
            for epoch, values in sorted(trial.measurements.items())
        },
        seconds={epoch + shift: value for epoch, value in trial.seconds.items()},
        times={epoch + shift: value for epoch, value in trial.times.items()},
    )


def trials_of(found: Found, metric: str, choices: Choices) -> tuple[list[Imported], list[str]]:
    """Return the trials in the order of the results, and the trials that were left out, in words.

    Equal configurations with other seeds are replicates. A trial that repeats another one, with the
    same seed or with the same values at all epochs, is left out.
    """
    names = list(dict.fromkeys(name for trial in found.trials for name in trial.values))
    seed = seed_of(names, choices.seed)
    varied = _varied(found.trials, names, seed)
    longest = max((max(t.measurements, default=0) for t in found.trials), default=0)
    made: list[Imported] = []
    known: dict[str, set[str]] = {}
    left_out = []
    for trial in found.trials:
        values = {n: v for n, v in trial.values.items() if n != seed and v is not None}
        drawn = trial.values.get(seed) if seed else trial.facts.get("seed")
        fold = trial.facts.get("fold")
        configuration = trial.facts.get("configuration_id") or _digest(values)
        draw = _digest([drawn, fold] if drawn is not None else _curve(trial))
        if draw in known.setdefault(configuration, set()):
            left_out.append(trial.label)
            continue
        replicate = len(known[configuration])
        known[configuration].add(draw)
        config = {**values, "seed": drawn} | ({} if fold is None else {"fold": int(fold)})
        own = Trial(
            id=trial.facts.get("trial_id") or _digest([found.tool, trial.label, config]),
            configuration_id=configuration,
            number=len(made),
            name=trial.facts.get("name") or _name(values, varied, configuration),
            phase=trial.facts.get("phase") or "search",
            replicate=int(trial.facts.get("replicate", replicate)),
            config=config,
            epochs=max(1, longest),
            measurements=[_measurement(trial, epoch) for epoch in trial.measurements],
        )
        _close(own, trial, found, metric, longest)
        made.append(Imported(trial=own, found=trial))
    return made, left_out


def _varied(trials: Sequence[FoundTrial], names: Sequence[str], seed: str | None) -> list[str]:
    texts = {name: {str(trial.values.get(name)) for trial in trials} for name in names}
    return [name for name in names if name != seed and len(texts[name]) > 1]


def _name(values: Mapping[str, Any], varied: Sequence[str], configuration: str) -> str:
    parts = [f"{name}={level_text(values[name])}" for name in varied if name in values]
    text = " ".join(parts)
    return text if 0 < len(text) <= LONGEST_NAME else f"configuration {configuration[:6]}"


def _measurement(trial: FoundTrial, epoch: int) -> Measurement:
    values = {**trial.measurements[epoch], "seconds": trial.seconds.get(epoch, math.nan)}
    return Measurement(epoch=epoch, values=Figures(values), time=trial.times.get(epoch, 0.0))


def _close(own: Trial, trial: FoundTrial, found: Found, metric: str, longest: int) -> None:
    """Give the trial its status."""
    if trial.status is Status.RUNNING:
        own.has_worker, own.interruption = True, trial.reason or "it had not ended when imported"
        return
    if trial.status is Status.PENDING:
        return
    status: Status = trial.status
    reason = trial.reason
    values = [m.values.get(metric, math.nan) for m in own.measurements]
    known = [value for value in values if math.isfinite(value)]
    if status in (Status.COMPLETED, Status.EARLY_STOPPED):
        last = trial.measurements[max(trial.measurements)] if trial.measurements else {}
        if metric in last and not math.isfinite(last[metric]):
            status, reason = Status.DIVERGED, f"{metric} is {last[metric]} at the last epoch"
        elif not known:
            status, reason = Status.FAILED, f"it has no value of {metric}"
        elif status is Status.COMPLETED and not found.names_stops:
            status, reason = _stopped(own.measurements[-1].epoch, longest, reason)
    own.ending = Ending(status=status, reason=reason)


def _stopped(last: int, longest: int, reason: str) -> tuple[Status, str]:
    """Return whether a trial was stopped early, by a tool that calls all ends alike."""
    if last == longest:
        return Status.COMPLETED, reason
    return (
        Status.EARLY_STOPPED,
        f"it ended after {last} of {longest} epochs; the tool does not say whether it was stopped",
    )


def _curve(trial: FoundTrial) -> list[Any]:
    """Return all values; trials without a known seed and with equal values are one training."""
    curve = [[epoch, sorted(values.items())] for epoch, values in trial.measurements.items()]
    return curve or [trial.label]


def _digest(values: Any) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def replicated(trials: Sequence[Imported]) -> int:
    """Return the number of configurations with several trials."""
    counts = Counter(each.trial.configuration_id for each in trials)
    return sum(count > 1 for count in counts.values())
