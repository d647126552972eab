"""The rule for the incumbent: the best configuration so far, and the trial that represents it.

Both `tune` and `analysis` use this rule, so status, tables and summary agree.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tune.run.trial import FINISHED, Phase, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """The facts about a trial that the rule uses."""

    trial_id: str
    configuration_id: str
    number: int
    phase: Phase
    status: Status
    score: float
    """Value of the objective; larger is better, NaN if there is none."""
    fold: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The score of a configuration."""

    configuration_id: str
    score: float
    """Mean over its fair trainings, averaging those of a fold first."""
    trial_id: str
    """The best of these trainings."""


def incumbent(trainings: Iterable[Training]) -> str | None:
    """Return the trial that represents the best configuration; None if no trial has a value.

    It is the best trial of the first configuration in `standings`. Before any trial has completed,
    it is the trial with the best value.
    """
    trainings = list(trainings)
    ranked = standings(trainings)
    if ranked:
        return ranked[0].trial_id
    known = [training for training in trainings if not math.isnan(training.score)]
    return _best(known).trial_id if known else None


def standings(trainings: Iterable[Training]) -> list[Standing]:
    """Rank configurations by the mean of their fair trainings; the earlier one in case of ties.

    Means are used because the best single training is usually a lucky one. In a k-fold sweep, only
    the configurations that were trained on the most folds are ranked.
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
    """Return whether finalists were selected from more configurations by their search training."""
    trainings = list(trainings)
    finalists = {t.configuration_id for t in trainings if t.phase == "finalist"}
    usable = (Status.COMPLETED, Status.EARLY_STOPPED)
    tried = {t.configuration_id for t in trainings if t.status in usable}
    return bool(finalists) and not tried <= finalists


def _fair(trainings: Sequence[Training]) -> list[Training]:
    """Return the completed trainings that rank the configurations.

    The search trainings of finalists are biased, because the finalists were selected by them. So
    they are left out as soon as every finalist has a further replicate. Until then, only search
    trainings count.
    """
    completed = [t for t in trainings if t.status is Status.COMPLETED and not math.isnan(t.score)]
    if not selected_finalists(trainings):
        return completed
    others = [training for training in completed if training.phase == "finalist"]
    if others and _replicates_are_in(trainings):
        return others
    return [training for training in completed if training.phase == "search"]


def _replicates_are_in(trainings: Sequence[Training]) -> bool:
    """Return whether the search has ended, and a further replicate of each finalist."""
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
