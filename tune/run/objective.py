"""Computes the values, curves and scores of trials for objectives."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

from tune.run.trial import COSTS, LATENCY, Measurement, Trial


class Objective(Protocol):
    """A metric or cost that trials are compared by, such as `tune.sweep.spec.ObjectiveSpec`."""

    @property
    def metric(self) -> str:
        """A measured metric, or a cost (`COSTS` and `LATENCY`)."""
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
    """Return 1 or -1, so that larger products with an objective's values are better."""
    return 1 if objective.mode == "max" else -1


def value(objective: Objective, trial: Trial) -> float | None:
    """Return a trial's value at its best or last epoch, or None if there is no finite one."""
    if objective.metric in COSTS:
        cost: float | None = getattr(trial, objective.metric)
        return cost
    if objective.metric == LATENCY and trial.latency_ms is not None:
        return trial.latency_ms
    found = trial.last if objective.at == "last" else trial.best(objective.metric, objective.mode)
    number = found.values.get(objective.metric, math.nan) if found else math.nan
    return number if math.isfinite(number) else None


def curve(objective: Objective, trial: Trial) -> list[float]:
    """Return the objective after each epoch, or best so far (``at: best``); larger is better."""
    points: list[float] = []
    for measurement in trial.measurements:
        points.append(curve_point(objective, measurement, points[-1] if points else -math.inf))
    return points


def curve_point(objective: Objective, measurement: Measurement, before: float) -> float:
    """Return the point of a `curve` at a measurement, given the previous point ``before``."""
    number = sign(objective) * measurement.values.get(objective.metric, math.nan)
    return number if objective.at == "last" or number > before else before


def scores(objectives: Sequence[Objective], trial: Trial) -> list[float] | None:
    """Return a trial's value for each objective, larger is better; None if any is unknown."""
    known = []
    for objective in objectives:
        number = value(objective, trial)
        if number is None:
            return None
        known.append(sign(objective) * number)
    return known
