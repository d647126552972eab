"""Reads runs that `analysis import` made from the results of other tools.

They have no spec of ours, so that no `Sweep` can be built from their ledger; their trials can.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fairsweep.yaml_text import load_yaml
from tune.run import objective as objectives
from tune.run.directory import SPEC_FILE
from tune.run.events import MeasurementTaken, TrialEnded, TrialProposed, TrialStarted
from tune.run.ledger import read_events
from tune.run.trial import Ending, Measurement, Trial


class ImportedObjective(NamedTuple):
    """The objective of an imported run."""

    metric: str
    mode: Literal["max", "min"]
    at: Literal["best", "last"]


def imported_objective(run: Path) -> ImportedObjective:
    """Return the objective of an imported run."""
    text = (run / SPEC_FILE).read_text("utf-8")
    return ImportedObjective(**load_yaml(text, str(run / SPEC_FILE))["objective"])


def imported_trials(run: Path) -> list[Trial]:
    """Return the trials of an imported run from its ledger, in the order of their numbers."""
    trials: dict[str, Trial] = {}
    for event in read_events(run):
        match event:
            case TrialProposed():
                trials[event.trial] = event.to_trial()
            case TrialStarted():
                own = trials[event.trial]
                own.has_worker, own.interruption = True, "it had not ended when imported"
            case MeasurementTaken():
                measured = Measurement(epoch=event.epoch, values=event.values, time=event.time)
                trials[event.trial].measurements.append(measured)
            case TrialEnded():
                trials[event.trial].ending = Ending(status=event.status, reason=event.reason)
    return sorted(trials.values(), key=lambda trial: trial.number)


def imported_status(run: Path, tool: str) -> dict[str, Any]:
    """Return ``name``, ``imported`` (the tool), ``trials`` {status: count} and ``best``."""
    objective, trials = imported_objective(run), imported_trials(run)
    values = [(objectives.value(objective, trial), trial) for trial in trials]
    known = [(value, trial) for value, trial in values if value is not None]
    best = max(known, key=lambda pair: objectives.sign(objective) * pair[0], default=None)
    counts = Counter(str(trial.status) for trial in trials)
    return {
        "name": run.name,
        "imported": tool,
        "trials": dict(sorted(counts.items())),
        "best": None
        if best is None
        else {"metric": objective.metric, "value": best[0], "name": best[1].name},
    }
