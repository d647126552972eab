"""Two runs on the same dataset side by side: what tells their best models apart, in sentences."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.folds.statistics import fold_average, held_out_ratio
from analysis.rendering.table import Table
from analysis.run.predictions import read_right
from analysis.run.run_data import RunData
from analysis.run.trainings import folds_in_a_repeat, has_folds
from analysis.run.trials import fairly_trained, incumbent
from analysis.runs.table import best_table
from analysis.statistics.estimate import Estimate
from analysis.statistics.intervals import wilson
from analysis.statistics.pairs import ModelPair, compare_models, compare_over_folds
from analysis.statistics.trainings import Trainings, difference
from analysis.statistics.verdicts import verdict
from analysis.trials.headline import fold_words, percent
from fairsweep.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What two runs show beside each other."""

    runs: tuple[RunData, RunData]
    names: tuple[str, str]
    best: Table
    """The best configurations of both."""
    found: tuple[str, ...]
    """What is known, in sentences."""
    unknown: tuple[str, ...]
    """What is not known, in sentences."""


def compare_runs(first: RunData, second: RunData) -> Comparison:
    """Compare two runs.

    Raises:
        UserError: They are one and the same, or were trained on different datasets, or it is not
            known on which.
    """
    _check_same_dataset(first, second)
    names = _names(first, second)
    folds = has_folds(first) or has_folds(second)
    told = [_best_words(run, name) for run, name in zip((first, second), names, strict=True)]
    pair = None
    if folds:
        replicated = _fold_words(first, second, names)
    else:
        pair = _pair(first, second)
        told.append(_pair_words(first, second, pair, names))
        replicated = _replicated_words(first, second, names)
    return Comparison(
        runs=(first, second),
        names=names,
        best=best_table(first, second, names),
        found=tuple(sentence for sentence in (*told, replicated) if sentence),
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
                f"{run.path} does not tell the fingerprint of its dataset (provenance.json), so "
                "nothing says that the two runs saw the same pictures"
            )
    if prints[0] != prints[1]:
        raise UserError(
            f"the runs were made with different datasets (fingerprint {prints[0][:12]} in "
            f"{first.path}, {prints[1][:12]} in {second.path}), so their accuracies are not of the "
            "same pictures; run both sweeps on one dataset"
        )


def _names(first: RunData, second: RunData) -> tuple[str, str]:
    if first.name != second.name:
        return first.name, second.name
    return str(first.path), str(second.path)


def _pair(first: RunData, second: RunData) -> ModelPair | None:
    """Compare the two incumbents where both left predictions of the same pictures."""
    one, other = (read_right(run, str(incumbent(run)["trial_id"])) for run in (first, second))
    if one is None or other is None or not one.index.equals(other.index):
        return None
    return compare_models(one.to_numpy(), other.to_numpy())


def _best_words(run: RunData, name: str) -> str:
    average = fold_average(run)
    if average is not None:
        return f"The best configuration of {name} {fold_words(average)}."
    best = incumbent(run)
    accuracy = float(best[f"{run.info.objective['at']}_val_accuracy"])
    low, high = wilson(accuracy, best["n"])
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
    """Compare the two best models on the same pictures, where there are predictions."""
    if incumbent(first)["trial_id"] == incumbent(second)["trial_id"]:
        return "It is the same training in both: same configuration, same seed."
    if pair is None:
        return ""
    low, high = pair.interval()
    said = verdict(pair.difference, pair.p_value, (low, high))
    return (
        f"On the same {pair.n:,} pictures the best model of {names[0]} alone is right on "
        f"{pair.only_first:,} and that of {names[1]} alone on {pair.only_second:,}: a difference "
        f"of {_points(pair.difference, low, high)}, McNemar's p = {pair.p_value:.2g}: {said}. "
        "That is a statement about these two trainings, not about their configurations."
    )


def _replicated_words(first: RunData, second: RunData, names: tuple[str, str]) -> str:
    """Compare the two best configurations over their replicates, where both have some."""
    parts = [_replicates(run, side) for run, side in ((first, "first"), (second, "second"))]
    if any(len(accuracy) < 2 for accuracy, _ in parts):
        return ""
    accuracy = pd.concat([accuracy for accuracy, _ in parts])
    configuration = pd.concat([configuration for _, configuration in parts])
    trainings = Trainings(configuration=configuration, accuracy=accuracy)
    estimate = difference(trainings, "first", "second")
    counts = " and ".join(str(len(accuracy)) for accuracy, _ in parts)
    return _estimate_words(estimate, names, f"{counts} replicates", ", on these pictures (t test")


def _fold_words(first: RunData, second: RunData, names: tuple[str, str]) -> str:
    """Compare the configurations that are best on average, where both have the same folds."""
    one, other = fold_average(first), fold_average(second)
    if one is None or other is None or folds_in_a_repeat(first) != folds_in_a_repeat(second):
        return ""
    shared = one.per_fold.index.intersection(other.per_fold.index)
    if len(shared) < 2:
        return ""
    estimate = compare_over_folds(
        np.asarray(one.per_fold[shared], np.float64),
        np.asarray(other.per_fold[shared], np.float64),
        held_out_ratio(first),
    )
    return _estimate_words(
        estimate,
        names,
        f"the {len(shared)} folds that both were trained on",
        " (corrected resampled t test of Nadeau and Bengio 2003",
    )


def _estimate_words(estimate: Estimate, names: tuple[str, str], over: str, test: str) -> str:
    """Say how far the two best configurations are apart, over what, by which test."""
    low, high = estimate.interval()
    said = verdict(estimate.value, estimate.p_value, (low, high))
    return (
        f"Over {over}, the best configuration of {names[0]} is "
        f"{_points(estimate.value, low, high)} from that of {names[1]}{test}, "
        f"p = {estimate.p_value:.2g}): {said}."
    )


def _replicates(run: RunData, side: str) -> tuple["pd.Series[float]", "pd.Series[str]"]:
    """Return accuracy and configuration of the fair replicates of a run's incumbent."""
    trials = fairly_trained(run)
    trials = trials[trials["configuration_id"] == incumbent(run)["configuration_id"]]
    ids = side + " " + trials["trial_id"].astype(str)
    accuracy = pd.Series(trials["accuracy"].to_numpy(float), index=ids)
    return accuracy, pd.Series(side, index=ids)


def _points(value: float, low: float, high: float) -> str:
    shown = (f"{100 * share:+.1f}" for share in (value, low, high))
    return "{} percentage points (95 % interval {} to {})".format(*shown)


def _unknown(pair: ModelPair | None, replicated: str, *, folds: bool) -> list[str]:
    told = []
    if folds and not replicated:
        told.append(
            "Whether the two best configurations differ: they were not trained on the same folds, "
            "as `python -m tune kfold` of both with equal --folds would do."
        )
    if pair is None and not folds:
        told.append(
            "Whether the two best models differ on the same pictures: one of them left no "
            "predictions, or theirs are of other pictures."
        )
    if not replicated and not folds:
        told.append(
            "Whether the two best configurations differ beyond the chance of a seed: at least two "
            "fair replicates of each would be needed."
        )
    told.append(
        "How much of each best accuracy is luck of the choice: both were picked on the pictures "
        "that judge them, and the run with more trials had more luck to pick from."
    )
    return told
