"""Compares the best of two runs: on the same pictures, over replicates, or over folds."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd

from analysis.folds.statistics import by_fold, fold_average, held_out_ratio
from analysis.run.clusters import read_clusters
from analysis.run.predictions import read_right
from analysis.run.run_data import RunData
from analysis.run.trainings import fair_trainings, folds_in_a_repeat
from analysis.run.trials import fairly_trained, incumbent
from analysis.runs.picked import Candidates, PickedDifference, picked_difference
from analysis.statistics.pairs import ModelPair, compare_models, compare_over_folds
from analysis.statistics.trainings import Trainings, difference
from analysis.statistics.verdicts import Verdict

Names = tuple[str, str]


def compare_best_models(first: RunData, second: RunData) -> ModelPair | None:
    """Compare the two incumbents if both have predictions of the same pictures."""
    left, right = (read_right(run, str(incumbent(run)["trial_id"])) for run in (first, second))
    if left is None or right is None or not left.index.equals(right.index):
        return None
    return compare_models(left.to_numpy(), right.to_numpy(), read_clusters(first, left.index))


def model_words(first: RunData, second: RunData, pair: ModelPair | None, names: Names) -> str:
    """Describe how the two best models differ on the same pictures, if there are predictions."""
    if incumbent(first)["trial_id"] == incumbent(second)["trial_id"]:
        return "The best model of both is the same training: same configuration, same seed."
    if pair is None:
        return ""
    candidates = Candidates(
        first=len(first.comparable),
        second=len(second.comparable),
        by_compared=all(_best_single(run) for run in (first, second)),
    )
    found = picked_difference(
        pair.estimate,
        candidates,
        margin=first.margin,
        pictures=len(pair.clusters.sizes),
        p_value=pair.p_value,
        interval=pair.interval,
    )
    return (
        f"On the same {pair.n:,} pictures, only the best model of {names[0]} is right on "
        f"{pair.only_first:,} and only that of {names[1]} on {pair.only_second:,}: a difference "
        f"of {_points(first, found)}, McNemar's p = {found.p_value:.2g}: {_judged(found, first)}. "
        f"{_picked(candidates, 'model')}"
        "This holds for these two trainings, not for their configurations in general."
    )


def replicate_words(first: RunData, second: RunData, names: Names) -> str:
    """Describe how the two best configurations differ over their replicates, if both have some."""
    sides = [fair_trainings(run) for run in (first, second)]
    repeated = [side.means[side.replicates > 1] for side in sides]
    if any(means.empty for means in repeated):
        return ""
    best = [str(means.idxmax()) for means in repeated]
    if best[0] == best[1]:
        return (
            f"The best configuration over replicates is the same in both: {_name(first, best[0])}."
        )
    both = _together(sides[0], sides[1])
    estimate = difference(both, f"first {best[0]}", f"second {best[1]}")
    candidates = Candidates(first=len(repeated[0]), second=len(repeated[1]))
    known = both.correct is not None
    found = picked_difference(
        estimate,
        candidates,
        margin=first.margin,
        pictures=len(both.pictures.sizes) if known else inf,
    )
    counts = " and ".join(
        str(side.replicates[name]) for side, name in zip(sides, best, strict=True)
    )
    only = f", for {first.validation_words} only"
    over = f"{counts} replicates" + (" and the pictures" if known else only)
    told = [
        f"{run_name} ({_name(run, name)})"
        for run_name, run, name in zip(names, (first, second), best, strict=True)
    ]
    return _difference_words(found, candidates, (told[0], told[1]), over, "t test", first)


def shared_fold_words(first: RunData, second: RunData, names: Names) -> str:
    """Describe how the configurations with the best averages differ, if the folds are the same."""
    left, right = fold_average(first), fold_average(second)
    if left is None or right is None or folds_in_a_repeat(first) != folds_in_a_repeat(second):
        return ""
    shared = left.per_fold.index.intersection(right.per_fold.index)
    if len(shared) < 2:
        return ""
    sign = first.metric.sign
    estimate = compare_over_folds(
        sign * np.asarray(left.per_fold[shared], np.float64),
        sign * np.asarray(right.per_fold[shared], np.float64),
        held_out_ratio(first),
    )
    counts = [len(by_fold(fairly_trained(run), "accuracy")) for run in (first, second)]
    candidates = Candidates(
        first=counts[0],
        second=counts[1],
        by_compared=all(_picked_by_accuracy(run) for run in (first, second)),
    )
    found = picked_difference(estimate, candidates, margin=first.margin, pictures=inf)
    over = f"the {len(shared)} folds that both were trained on"
    test = "corrected resampled t test of Nadeau and Bengio 2003"
    return _difference_words(found, candidates, names, over, test, first)


def _difference_words(
    found: PickedDifference,
    candidates: Candidates,
    names: Names,
    over: str,
    test: str,
    run: RunData,
) -> str:
    return (
        f"Over {over}, the best configuration of {names[0]} is {_points(run, found)} from that of "
        f"{names[1]} ({test}, p = {found.p_value:.2g}): {_judged(found, run)}. "
        f"{_picked(candidates, 'configuration')}"
    ).strip()


def _together(first: Trainings, second: Trainings) -> Trainings:
    """Combine the trainings of two runs, with ids that begin with "first" and "second"."""
    both = (_worded("first ", first), _worded("second ", second))
    known = [side.correct for side in both if side.correct is not None]
    same = len(known) == 2 and known[0].columns.equals(known[1].columns)
    return Trainings(
        configuration=pd.concat([side.configuration for side in both]),
        accuracy=pd.concat([side.accuracy for side in both]),
        correct=pd.concat(known) if same else None,
        clusters=first.clusters if same else None,
    )


def _worded(word: str, trainings: Trainings) -> Trainings:
    return replace(
        trainings,
        configuration=(word + trainings.configuration).rename(word.__add__),
        accuracy=trainings.accuracy.rename(word.__add__),
        correct=None if trainings.correct is None else trainings.correct.rename(word.__add__),
    )


def _best_single(run: RunData) -> bool:
    """Return whether the incumbent is the training with the highest accuracy at any epoch."""
    once = run.comparable["configuration_id"].is_unique
    return once and _picked_by_accuracy(run) and run.info.objective["at"] == "best"


def _picked_by_accuracy(run: RunData) -> bool:
    return bool(run.info.objective["metric"] == run.metric.name)


def _name(run: RunData, configuration_id: str) -> str:
    trials = run.trials
    return str(trials.loc[trials["configuration_id"] == configuration_id, "name"].iloc[0])


def _judged(found: PickedDifference, run: RunData) -> str:
    within = f" within {run.metric.gap(run.margin)}" * (found.verdict == Verdict.EQUIVALENT)
    return f"{found.verdict}{within}"


def _picked(candidates: Candidates, what: str) -> str:
    if candidates.first == candidates.second == 1:
        return ""
    return f"Interval, p and verdict allow for picking the best of {candidates} {what}s. "


def _points(run: RunData, found: PickedDifference) -> str:
    if not run.metric.is_share:
        # Larger was made better.
        ends = sorted(run.metric.sign * end for end in (found.low, found.high))
        value = run.metric.sign * found.value
        return f"{value:+.4g} (95 % interval {ends[0]:+.4g} to {ends[1]:+.4g})"
    shown = (f"{100 * share:+.1f}" for share in (found.value, found.low, found.high))
    return "{} percentage points (95 % interval {} to {})".format(*shown)
