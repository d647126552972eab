"""What objectives say of a trial: its value, its curve, and which trials nothing beats."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

from tune.run.trial import COSTS, Measurement, Trial


class Objective(Protocol):
    """What makes one trial better than another; `tune.sweep.spec.ObjectiveSpec` is one."""

    @property
    def metric(self) -> str:
        """A measured metric, or a cost (`COSTS`)."""
        ...

    @property
    def mode(self) -> Literal["max", "min"]:
        """Whether larger or smaller values are better."""
        ...

    @property
    def at(self) -> Literal["best", "last"]:
        """The epoch that counts: the trial's best or its last."""
        ...


def sign(objective: Objective) -> int:
    """Return what makes larger better when an objective's values are multiplied by it."""
    return 1 if objective.mode == "max" else -1


def value(objective: Objective, trial: Trial) -> float | None:
    """Return a trial's value, at its best epoch or its last, or None if there is no finite one."""
    if objective.metric in COSTS:
        cost: float | None = getattr(trial, objective.metric)
        return cost
    found = trial.last if objective.at == "last" else trial.best(objective.metric, objective.mode)
    number = found.values[objective.metric] if found else math.nan
    return number if math.isfinite(number) else None


def curve(objective: Objective, trial: Trial) -> list[float]:
    """Return an objective after each epoch, larger being better; so far best if at: best."""
    points: list[float] = []
    for measurement in trial.measurements:
        points.append(curve_point(objective, measurement, points[-1] if points else -math.inf))
    return points


def curve_point(objective: Objective, measurement: Measurement, before: float) -> float:
    """Return the point of a `curve` at a measurement, from the point ``before`` it."""
    number = sign(objective) * measurement.values[objective.metric]
    return number if objective.at == "last" or number > before else before


def scores(objectives: Sequence[Objective], trial: Trial) -> list[float] | None:
    """Return a trial's value of each objective, larger being better; None if one is not known."""
    known = []
    for objective in objectives:
        number = value(objective, trial)
        if number is None:
            return None
        known.append(sign(objective) * number)
    return known
