"""Compares two runs on the same dataset and describes the differences in sentences."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.folds.statistics import fold_average, held_out_ratio
from analysis.rendering.table import Table
from analysis.run.clusters import effective_n, read_clusters
from analysis.run.predictions import read_right
from analysis.run.run_data import RunData
from analysis.run.trainings import folds_in_a_repeat, has_folds
from analysis.run.trials import fairly_trained, incumbent
from analysis.runs.table import best_table
from analysis.statistics.estimate import Estimate
from analysis.statistics.intervals import wilson
from analysis.statistics.pairs import ModelPair, compare_models, compare_over_folds
from analysis.statistics.trainings import Trainings, difference
from analysis.statistics.verdicts import equivalence, verdict
from analysis.trials.headline import fold_words, percent
from fairsweep.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """The comparison of two runs."""

    runs: tuple[RunData, RunData]
    names: tuple[str, str]
    best: Table
    """The best configurations of both runs."""
    found: tuple[str, ...]
    """Sentences about what is known."""
    unknown: tuple[str, ...]
    """Sentences about what is not known."""


class Replicates(NamedTuple):
    """The fair replicates of a run's incumbent, indexed by trial."""

    accuracy: "pd.Series[float]"
    configuration: "pd.Series[str]"


def compare_runs(first: RunData, second: RunData) -> Comparison:
    """Compare two runs.

    Raises:
        UserError: Both are the same run, or their datasets are different or unknown.
    """
    _check_same_dataset(first, second)
    names = _names(first, second)
    folds = has_folds(first) or has_folds(second)
    sentences = [_best_words(run, name) for run, name in zip((first, second), names, strict=True)]
    pair = None
    if folds:
        replicated = _fold_words(first, second, names)
    else:
        pair = _pair(first, second)
        sentences.append(_pair_words(first, second, pair, names))
        replicated = _replicated_words(first, second, names)
    return Comparison(
        runs=(first, second),
        names=names,
        best=best_table(first, second, names),
        found=tuple(sentence for sentence in (*sentences, replicated) if sentence),
        unknown=tuple(_unknown(pair, replicated, folds=folds)),
    )


def _check_same_dataset(first: RunData, second: RunData) -> None:
    if first.path.resolve() == second.path.resolve():
        raise UserError(f"{first.path} and {second.path} are the same run; give two")
    prints = [
        str((r.provenance.get("dataset") or {}).get("fingerprint", "")) for r in (first, second)
    ]
    for run, fingerprint in zip((first, second), prints, strict=True):
        if not fingerprint:
            raise UserError(
                f"the provenance.json of {run.path} does not hold the fingerprint of its dataset, "
                "so it is not known whether the two runs used the same pictures; compare runs that "
                "have one"
            )
    if prints[0] != prints[1]:
        raise UserError(
            f"the runs were made with different datasets (fingerprint {prints[0][:12]} in "
            f"{first.path}, {prints[1][:12]} in {second.path}), so their accuracies cannot be "
            "compared; run both sweeps on one dataset"
        )


def _names(first: RunData, second: RunData) -> tuple[str, str]:
    if first.name != second.name:
        return first.name, second.name
    return str(first.path), str(second.path)


def _pair(first: RunData, second: RunData) -> ModelPair | None:
    """Compare the two incumbents if both have predictions of the same pictures."""
    left, right = (read_right(run, str(incumbent(run)["trial_id"])) for run in (first, second))
    if left is None or right is None or not left.index.equals(right.index):
        return None
    return compare_models(left.to_numpy(), right.to_numpy(), read_clusters(first, left.index))


def _best_words(run: RunData, name: str) -> str:
    average = fold_average(run)
    if average is not None:
        return f"The best configuration of {name} {fold_words(average)}."
    best = incumbent(run)
    accuracy = float(best[f"{run.info.objective['at']}_val_accuracy"])
    low, high = wilson(accuracy, float(effective_n(run, best.to_frame().T).iloc[0]))
    span = "" if pd.isna(low) else f" (95 % interval {percent(low)} to {percent(high)}"
    n = f", n = {best['n']:,})" if span else ""
    hours = run.trials["device_seconds"].sum() / 3600
    trials = f"{len(run.trials):,} trial{'s' if len(run.trials) > 1 else ''}"
    return (
        f"The best of {name} is {best['name']} with a validation accuracy of "
        f"{percent(accuracy)}{span}{n}, out of {trials} in {hours:.3g} device-hours."
    )


def _pair_words(
    first: RunData, second: RunData, pair: ModelPair | None, names: tuple[str, str]
) -> str:
    """Describe how the two best models differ on the same pictures, if there are predictions."""
    if incumbent(first)["trial_id"] == incumbent(second)["trial_id"]:
        return "The best model of both is the same training: same configuration, same seed."
    if pair is None:
        return ""
    low, high = pair.interval()
    within = equivalence(pair.estimate, first.margin, pair.n)
    judged = verdict(pair.difference, pair.p_value, within)
    return (
        f"On the same {pair.n:,} pictures, only the best model of {names[0]} is right on "
        f"{pair.only_first:,} and only that of {names[1]} on {pair.only_second:,}: a difference "
        f"of {_points(pair.difference, low, high)}, McNemar's p = {pair.p_value:.2g}: {judged}. "
        "This holds for these two trainings, not for their configurations in general."
    )


def _replicated_words(first: RunData, second: RunData, names: tuple[str, str]) -> str:
    """Describe how the two best configurations differ over their replicates, if both have some."""
    sides = [_replicates(run, side) for run, side in ((first, "first"), (second, "second"))]
    if any(len(side.accuracy) < 2 for side in sides):
        return ""
    accuracy = pd.concat([side.accuracy for side in sides])
    configuration = pd.concat([side.configuration for side in sides])
    trainings = Trainings(configuration=configuration, accuracy=accuracy)
    estimate = difference(trainings, "first", "second")
    counts = " and ".join(str(len(side.accuracy)) for side in sides)
    test = ", on these pictures (t test"
    return _estimate_words(estimate, names, f"{counts} replicates", test, first.margin)


def _fold_words(first: RunData, second: RunData, names: tuple[str, str]) -> str:
    """Describe how the configurations with the best averages differ, if the folds are the same."""
    left, right = fold_average(first), fold_average(second)
    if left is None or right is None or folds_in_a_repeat(first) != folds_in_a_repeat(second):
        return ""
    shared = left.per_fold.index.intersection(right.per_fold.index)
    if len(shared) < 2:
        return ""
    estimate = compare_over_folds(
        np.asarray(left.per_fold[shared], np.float64),
        np.asarray(right.per_fold[shared], np.float64),
        held_out_ratio(first),
    )
    return _estimate_words(
        estimate,
        names,
        f"the {len(shared)} folds that both were trained on",
        " (corrected resampled t test of Nadeau and Bengio 2003",
        first.margin,
    )


def _estimate_words(
    estimate: Estimate, names: tuple[str, str], over: str, test: str, margin: float
) -> str:
    """Describe the difference of the two best configurations, its basis and its test."""
    low, high = estimate.interval()
    judged = verdict(estimate.value, estimate.p_value, equivalence(estimate, margin))
    return (
        f"Over {over}, the best configuration of {names[0]} is "
        f"{_points(estimate.value, low, high)} from that of {names[1]}{test}, "
        f"p = {estimate.p_value:.2g}): {judged}."
    )


def _replicates(run: RunData, side: str) -> Replicates:
    trials = fairly_trained(run)
    trials = trials[trials["configuration_id"] == incumbent(run)["configuration_id"]]
    ids = side + " " + trials["trial_id"].astype(str)
    accuracy = pd.Series(trials["accuracy"].to_numpy(float), index=ids)
    return Replicates(accuracy, pd.Series(side, index=ids))


def _points(value: float, low: float, high: float) -> str:
    shown = (f"{100 * share:+.1f}" for share in (value, low, high))
    return "{} percentage points (95 % interval {} to {})".format(*shown)


def _unknown(pair: ModelPair | None, replicated: str, *, folds: bool) -> list[str]:
    sentences = []
    if folds and not replicated:
        sentences.append(
            "Whether the two best configurations differ: they were not trained on the same folds. "
            "`python -m tune kfold` of both with the same --folds does that."
        )
    if pair is None and not folds:
        sentences.append(
            "Whether the two best models differ on the same pictures: one of them has no "
            "predictions, or their predictions are for different pictures."
        )
    if not replicated and not folds:
        sentences.append(
            "Whether the two best configurations differ by more than the effect of the seed: this "
            "needs at least two fair replicates of each."
        )
    sentences.append(
        "How much of each best accuracy is selection bias: each model was selected on the same "
        "pictures that it is evaluated on, and the bias grows with the number of trials."
    )
    return sentences
