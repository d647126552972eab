"""Reads another run's finished trials that fit the space, as known trials for a new searcher."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from fairsweep.errors import UserError
from tune.run import objective as objectives
from tune.run.ledger import read_events
from tune.run.objective import Objective
from tune.run.trial import Status, Trial
from tune.session.imported import imported_objective, imported_trials
from tune.session.run_directory import import_of, read_provenance, read_spec
from tune.sweep.searchers.registry import SEARCHERS
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.spec import SpecError, SweepSpec
from tune.sweep.sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Another run's trials, for the searcher of a new sweep."""

    run: str
    trials: tuple[KnownTrial, ...]
    unfit: int
    """Finished trials that are not in the space, or from which the searcher cannot learn."""

    def __str__(self) -> str:
        """Return one line with the number of trials that fit."""
        return (
            f"warm start: {len(self.trials)} finished trials of {self.run} fit this space and are "
            f"given to the searcher, {self.unfit} do not fit"
        )


def read_warm_start(spec: SweepSpec, fingerprint: str) -> WarmStart | None:
    """Read the run that ``spec`` names under ``warm_start``; None without one.

    Args:
        spec: Spec of the new sweep.
        fingerprint: Fingerprint of its dataset.

    Raises:
        RunError: ``warm_start`` is not a run directory.
        SpecError: That run has another dataset or other objectives.

    An imported run names no dataset, so that only its objective is compared.
    """
    if spec.warm_start is None:
        return None
    run = Path(spec.warm_start)
    if import_of(run) is not None:
        return _from_imported(spec, run)
    other, theirs = read_spec(run), read_provenance(run)["dataset"]["fingerprint"]
    theirs = f"path {other.data}" if theirs is None else theirs
    if theirs != fingerprint:
        raise SpecError(
            f"warm_start: {run} was trained on a dataset with fingerprint {theirs}, but this one "
            f"has {fingerprint}; name a run on the same dataset, or leave warm_start out"
        )
    if other.objectives != spec.objectives:
        raise SpecError(
            f"warm_start: the objective of {run} is {_words(other.objectives)}, but this sweep has "
            f"{_words(spec.objectives)}; give both the same objective, or leave warm_start out"
        )
    trials = Sweep(other, fingerprint=theirs, events=read_events(run)).trials.values()
    found = [_known(trial, spec) for trial in trials if trial.ended]
    fit = tuple(known for known in found if known is not None)
    return WarmStart(run=spec.warm_start, trials=fit, unfit=len(found) - len(fit))


def _from_imported(spec: SweepSpec, run: Path) -> WarmStart:
    """Read an imported run; the user vouches for its dataset, which is not known."""
    theirs, ours = imported_objective(run), spec.objective
    if (theirs.metric, theirs.mode) != (ours.metric, ours.mode) or len(spec.objectives) > 1:
        raise SpecError(
            f"warm_start: the objective of {run} is {theirs.mode} {theirs.metric}, but this sweep "
            f"has {_words(spec.objectives)}; import it with --metric {ours.metric} --mode "
            f"{ours.mode} if it has this metric, or leave warm_start out"
        )
    trials = [trial for trial in imported_trials(run) if trial.ended]
    found = [_imported(trial, spec) for trial in trials]
    fit = tuple(known for known in found if known is not None)
    return WarmStart(run=str(run), trials=fit, unfit=len(found) - len(fit))


def _imported(trial: Trial, spec: SweepSpec) -> KnownTrial | None:
    """Return an imported trial, if its known hyperparameters are those of a point of the space."""
    point = spec.search_space.locate(trial.config)
    if point is None or any(
        name in trial.config and trial.config[name] != value for name, value in spec.fixed.items()
    ):
        return None
    epochs = spec.config(spec.search_space.at(point), seed=spec.seed).epochs
    within = [each for each in trial.measurements if each.epoch <= epochs]
    trial = replace(trial, measurements=within)
    curve = [value for value in objectives.curve(spec.objective, trial) if math.isfinite(value)]
    whole = trial.status is Status.COMPLETED
    if trial.status is Status.FAILED or not curve or not (whole or _learns_from_parts(spec)):
        return None
    values = objectives.scores(spec.objectives, trial) if whole else None
    return KnownTrial(point=point, curve=curve, values=values)


def _known(trial: Trial, spec: SweepSpec) -> KnownTrial | None:
    try:
        theirs = spec.read_config(trial.config)
    except UserError:  # The code has no such argument, or needs others.
        return None
    point = spec.search_space.locate(theirs.by_every_name)
    if point is None:
        return None
    config = spec.config(spec.search_space.at(point), seed=spec.seed)
    if (theirs.configuration_id, theirs.fold) != (config.configuration_id, config.fold):
        return None
    trial = _up_to(trial, config.epochs)
    curve = [value for value in objectives.curve(spec.objective, trial) if math.isfinite(value)]
    ran_out = trial.reason != ""  # of patience, as it would in this sweep
    whole = trial.status is Status.COMPLETED and (
        ran_out or len(trial.measurements) == config.epochs
    )
    if trial.status is Status.FAILED or not curve or not (whole or _learns_from_parts(spec)):
        return None
    values = objectives.scores(spec.objectives, trial) if whole else None
    return KnownTrial(point=point, curve=curve, values=values)


def _up_to(trial: Trial, epochs: int) -> Trial:
    """Return the trial as it was after ``epochs``: with a constant rate, it may have had more."""
    measurements = trial.measurements[:epochs]
    seconds = sum(measurement.values["seconds"] for measurement in measurements)
    return replace(trial, measurements=measurements, seconds=seconds)


def _learns_from_parts(spec: SweepSpec) -> bool:
    refused = SEARCHERS[spec.searcher.name].refuses
    return "early stopping" not in refused and len(spec.objectives) == 1


def _words(all_objectives: tuple[Objective, ...]) -> str:
    return " and ".join(f"{each.mode} {each.metric} (at {each.at})" for each in all_objectives)
