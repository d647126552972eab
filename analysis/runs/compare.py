"""Compares two runs on the same dataset and describes the differences in sentences."""

from dataclasses import dataclass

import pandas as pd

from analysis.folds.statistics import fold_average
from analysis.rendering.table import Table
from analysis.run.clusters import effective_n
from analysis.run.run_data import RunData
from analysis.run.trainings import has_folds
from analysis.run.trials import incumbent
from analysis.runs.differences import (
    compare_best_models,
    model_words,
    replicate_words,
    shared_fold_words,
)
from analysis.runs.table import best_table
from analysis.statistics.intervals import wilson
from analysis.statistics.pairs import ModelPair
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


def _best_words(run: RunData, name: str) -> str:
    average = fold_average(run)
    if average is not None:
        return f"The best configuration of {name} {fold_words(average)}."
    best = incumbent(run)
    accuracy = float(best[f"{run.info.objective['at']}_val_accuracy"])
    low, high = wilson(accuracy, float(effective_n(run, best.to_frame().T).iloc[0]))
    span = "" if pd.isna(low) else f" (95 % interval {percent(low)} to {percent(high)}"
    n = f", n = {best['n']:,})" if span else ""
    stopped = "" if len(run.completed) else " (stopped early; no trial was trained to the end)"
    hours = run.trials["device_seconds"].sum() / 3600
    trials = f"{len(run.trials):,} trial{'s' if len(run.trials) > 1 else ''}"
    return (
        f"The best of {name} is {best['name']}{stopped} with a validation accuracy of "
        f"{percent(accuracy)}{span}{n}, out of {trials} in {hours:.3g} device-hours."
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
