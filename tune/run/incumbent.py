"""The rule for the incumbent: which configuration is the best so far, and which training shows it.

`tune` and `analysis` both ask here, so that a status, a table and a summary name the same one.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tune.run.trial import FINISHED, Phase, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A trial, as far as the rule asks."""

    trial_id: str
    configuration_id: str
    number: int
    phase: Phase
    status: Status
    score: float
    """Value of the objective, larger being better; NaN where there is none."""
    fold: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A configuration by its fair trainings."""

    configuration_id: str
    score: float
    """Mean of its fair trainings, those of a fold averaged first."""
    trial_id: str
    """The best of them."""


def incumbent(trainings: Iterable[Training]) -> str | None:
    """Return the trial that shows the best configuration; None where no trial has a value.

    That configuration is the first of `standings`. Before any trial has completed it is the trial
    with the best value.
    """
    trainings = list(trainings)
    ranked = standings(trainings)
    if ranked:
        return ranked[0].trial_id
    known = [training for training in trainings if not math.isnan(training.score)]
    return _best(known).trial_id if known else None


def standings(trainings: Iterable[Training]) -> list[Standing]:
    """Rank the configurations by the mean of their fair trainings, the earlier of equals first.

    The best single training is mostly a lucky one, so means decide where there are replicates.
    Over folds only configurations that were trained on the most folds are ranked.
    """
    trainings = list(trainings)
    fair = _by_configuration(_fair(trainings))
    most = max((_folds(own) for own in fair.values()), default=0)
    compared = [(_mean(own), own) for own in fair.values() if _folds(own) == most]
    compared.sort(key=lambda pair: (-pair[0], min(training.number for training in pair[1])))
    return [
        Standing(configuration_id=own[0].configuration_id, score=mean, trial_id=_best(own).trial_id)
        for mean, own in compared
    ]


def selected_finalists(trainings: Iterable[Training]) -> bool:
    """Tell whether finalists were picked, by their search training, from more configurations."""
    trainings = list(trainings)
    finalists = {t.configuration_id for t in trainings if t.phase == "finalist"}
    usable = (Status.COMPLETED, Status.EARLY_STOPPED)
    tried = {t.configuration_id for t in trainings if t.status in usable}
    return bool(finalists) and not tried <= finalists


def _fair(trainings: Sequence[Training]) -> list[Training]:
    """Return the completed trainings by which configurations are ranked.

    The trainings by which finalists were picked were lucky ones. So, once each finalist has another
    replicate, these others alone count, and until then those of the search alone.
    """
    completed = [t for t in trainings if t.status is Status.COMPLETED and not math.isnan(t.score)]
    if not selected_finalists(trainings):
        return completed
    others = [training for training in completed if training.phase == "finalist"]
    if others and _replicates_are_in(trainings):
        return others
    return [training for training in completed if training.phase == "search"]


def _replicates_are_in(trainings: Sequence[Training]) -> bool:
    """Tell whether the search has ended, and a further replicate of each finalist too."""
    further = [training for training in trainings if training.phase == "finalist"]
    ended = {training.configuration_id for training in further if training.status in FINISHED}
    searched = all(t.status in FINISHED for t in trainings if t.phase == "search")
    return searched and ended == {training.configuration_id for training in further}


def _by_configuration(trainings: Iterable[Training]) -> Mapping[str, list[Training]]:
    found: dict[str, list[Training]] = defaultdict(list)
    for training in trainings:
        found[training.configuration_id].append(training)
    return found


def _folds(trainings: Sequence[Training]) -> int:
    return 1 if len(trainings) == 1 else len({training.fold for training in trainings})


def _mean(trainings: Sequence[Training]) -> float:
    if len(trainings) == 1:  # Most configurations of a large sweep.
        return trainings[0].score
    of_fold: dict[int | None, list[float]] = defaultdict(list)
    for training in trainings:
        of_fold[training.fold].append(training.score)
    return fmean(fmean(scores) for scores in of_fold.values())


def _best(trainings: Iterable[Training]) -> Training:
    return min(trainings, key=lambda training: (-training.score, training.number))
