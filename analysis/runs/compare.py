"""Compares two runs on the same dataset and describes the differences in sentences."""

from dataclasses import dataclass

import pandas as pd

from analysis.folds.statistics import fold_average
from analysis.rendering.table import Table
from analysis.run.run_data import RunData
from analysis.run.trainings import has_folds
from analysis.runs.differences import (
    compare_best_models,
    model_words,
    replicate_words,
    shared_fold_words,
)
from analysis.runs.table import best_table
from analysis.runs.together import fingerprint_of
from analysis.statistics.pairs import ModelPair
from analysis.trials.headline import best_trial, fold_words
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


def compare_runs(first: RunData, second: RunData) -> Comparison:
    """Compare two runs.

    Raises:
        UserError: Both are the same run, their datasets are different or unknown, or their tables
            report different metrics.
    """
    _check_same_dataset(first, second)
    names = _names(first, second)
    folds = has_folds(first) or has_folds(second)
    sentences = [best_words(run, name) for run, name in zip((first, second), names, strict=True)]
    pair = None
    if folds:
        replicated = shared_fold_words(first, second, names)
    else:
        pair = compare_best_models(first, second)
        sentences.append(model_words(first, second, pair, names))
        replicated = replicate_words(first, second, names)
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
    prints = [fingerprint_of(run) for run in (first, second)]
    for run, fingerprint in zip((first, second), prints, strict=True):
        if not fingerprint:
            raise UserError(
                f"the provenance.json of {run.path} does not hold the fingerprint of its dataset, "
                "so it is not known whether the two runs used the same pictures; compare runs that "
                "have one"
            )
    if first.metric.name != second.metric.name or first.metric.sign != second.metric.sign:
        raise UserError(
            f"the tables of {first.path} report {first.metric.name}, those of {second.path} "
            f"{second.metric.name}, so the runs cannot be compared; compare runs with one objective"
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


def best_words(run: RunData, name: str) -> str:
    """Say which trial or configuration of a run is the best, and of how many."""
    average = fold_average(run)
    if average is not None:
        return f"The best configuration of {name} {fold_words(run.metric, average)}."
    text, best = run.metric.text, best_trial(run)
    low, high = best["accuracy_low"], best["accuracy_high"]
    span = "" if pd.isna(low) else f" (95 % interval {text(low)} to {text(high)}"
    n = f", n = {best['n']:,})" if span else ""
    stopped = "" if len(run.completed) else " (stopped early; no trial was trained to the end)"
    seconds = run.trials["device_seconds"].astype(float).sum()
    hours = f" in {seconds / 3600:.3g} device-hours" if seconds else ""
    trials = f"{len(run.trials):,} trial{'s' if len(run.trials) > 1 else ''}"
    return (
        f"The best of {name} is {best['name']}{stopped} with a {run.metric.long} of "
        f"{text(float(best['accuracy']))}{span}{n}, out of {trials}{hours}."
    )


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
