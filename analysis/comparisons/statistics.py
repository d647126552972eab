"""Compares the incumbent of a run with the other fully trained configurations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import inf
from typing import Literal

import pandas as pd

from analysis.comparisons.against import (
    compare_configurations,
    compare_trained_models,
    folds_apart,
    judged,
    models_apart,
)
from analysis.comparisons.pairwise import Pairs, pairs_of, pairs_of_trainings
from analysis.folds.statistics import by_fold, fold_average, fold_means, held_out_ratio
from analysis.run.clusters import read_clusters, single_intervals
from analysis.run.predictions import read_correct
from analysis.run.run_data import RunData, add_replicates
from analysis.run.trainings import fair_trainings, has_folds
from analysis.run.trials import fairly_trained, incumbent, ranked
from analysis.statistics.bootstrap import mean_intervals
from analysis.statistics.estimate import NotKnownError
from analysis.statistics.verdicts import all_pairs

MOST_MODELS = 100
"""Maximum number of trained models to compare; the best ones are."""

LEAST_PICTURES = 30
"""No difference is tested on fewer validation pictures."""

Basis = Literal["configurations", "folds", "models"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparisons:
    """Comparisons of the incumbent with each of the others."""

    basis: Basis
    """What is compared: configurations over replicates, configurations over folds, or trained
    models if configurations were trained once."""
    incumbent_id: str
    """Configuration id of the incumbent."""
    reference: str
    """Id of the incumbent in ``frame`` and ``means``."""
    frame: pd.DataFrame
    """A row for each of the others, best ones first; columns are those of
    `analysis.comparisons.against.COLUMNS`. Ids are configuration ids, or trial ids for trained
    models."""
    means: pd.DataFrame
    """A row per id (index), including the incumbent: ``accuracy`` (mean of its trainings) with
    ``accuracy_low`` and ``accuracy_high`` (95 %), ``trainings`` (number that counts) and
    ``trial_id`` (of the first training)."""
    on_pictures: bool
    """Whether the results apply to new pictures, not only to those in validation."""
    candidates: int
    """Number of candidates that the incumbent was selected from."""
    pairs: Callable[[Sequence[str]], Pairs]
    """Estimates the differences of all pairs of the given ids of ``means``."""
    pictures: float = inf
    """Number of pictures that all were evaluated on; infinite for folds, and without
    predictions."""


@lru_cache(maxsize=4)  # tables, figures and the summary ask for it
def against_incumbent(run: RunData) -> Comparisons:
    """Compare the incumbent with the others: over folds, over replicates, or as trained models.

    Raises:
        NotKnownError: The run has neither replicates nor predictions, nothing to compare, or too
            few validation pictures.
    """
    if run.completed.empty:
        raise NotKnownError(
            "no trial was trained to the end, so none can be compared; "
            f"`python -m tune status {run.shell_path}` says why"
        )
    if has_folds(run):
        return _over_folds(run)
    _need_pictures(run)
    trainings = fair_trainings(run)
    return _configurations(run) if trainings.replicated else _models(run)


def as_measured(run: RunData, frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``frame`` with values and differences as measured, if they were negated.

    See `analysis.run.trainings.fair_trainings`.
    """
    if run.metric.sign > 0:
        return frame
    names = [name for name in ("accuracy", "difference") if name in frame]
    ends = [(f"{name}_low", f"{name}_high") for name in names]
    known = [(low, high) for low, high in ends if low in frame]
    turned = {name: 0.0 - frame[name] for name in names}  # no minus zero
    turned |= {low: 0.0 - frame[high] for low, high in known} | {
        high: -frame[low] for low, high in known
    }
    return frame.assign(**turned)


@lru_cache(maxsize=4)
def configuration_means(run: RunData) -> pd.DataFrame:
    """Return `analysis.statistics.bootstrap.mean_intervals` of the fair trainings."""
    shares = run.metric.is_share and run.metric.sign > 0
    return as_measured(run, mean_intervals(fair_trainings(run), shares=shares))


def _configurations(run: RunData) -> Comparisons:
    trainings, first = fair_trainings(run), str(incumbent(run)["configuration_id"])
    _need_two(len(trainings.means))
    means = configuration_means(run).assign(
        trainings=trainings.replicates,
        trial_id=trainings.configuration.reset_index()
        .groupby("configuration_id")["trial_id"]
        .first(),
    )
    return Comparisons(
        basis="configurations",
        incumbent_id=first,
        reference=first,
        frame=as_measured(run, compare_configurations(trainings, first, run.margin)),
        means=means,
        on_pictures=trainings.correct is not None,
        candidates=len(means),
        pairs=partial(pairs_of_trainings, trainings),
        pictures=inf if trainings.correct is None else len(trainings.pictures.sizes),
    )


def _models(run: RunData) -> Comparisons:
    """Compare the fairly trained trials as trained models."""
    first, trials = str(incumbent(run)["trial_id"]), ranked(run).set_index("trial_id")
    fair = fairly_trained(run).set_index("trial_id")
    accuracy = fair["accuracy"].reindex(trials.index).dropna().astype(float)
    _need_two(len(accuracy))
    best = accuracy[[first, *accuracy.index.drop(first)]].head(MOST_MODELS)
    correct = read_correct(run, best) if run.metric.is_accuracy else None
    if correct is None:
        why = (
            "no predictions of the compared epoch for every trial"
            if run.has_pictures and run.metric.is_accuracy
            else "no predictions on single pictures that give this metric"
        )
        raise NotKnownError(
            f"no difference can be judged: there are no replicates, and {why}; "
            f"{add_replicates(run)}"
        )
    clusters = read_clusters(run, correct.columns)
    interval = single_intervals(run, best, fair.loc[best.index])
    return Comparisons(
        basis="models",
        incumbent_id=str(fair.loc[first, "configuration_id"]),
        reference=first,
        frame=compare_trained_models(
            correct,
            first,
            all_pairs(len(accuracy)),
            margin=run.margin,
            clusters=clusters,
        ),
        means=interval.assign(accuracy=best, trainings=1, trial_id=best.index),
        on_pictures=True,
        candidates=len(accuracy),
        pairs=partial(pairs_of, pair=partial(models_apart, correct, clusters)),
        pictures=len(clusters.sizes),
    )


def _over_folds(run: RunData) -> Comparisons:
    """Compare all configurations with the best average, each over the folds that both share."""
    trials, best = fairly_trained(run), fold_average(run)
    if best is None:
        raise NotKnownError(
            "no configuration was trained on two folds; train the others: "
            f"`python -m tune resume {run.shell_path}`"
        )
    first = best.configuration_id
    table = run.metric.sign * by_fold(trials, "accuracy")
    shared = table.notna() & table.loc[first].notna()
    table = table[shared.sum(axis=1) > 1]
    _need_two(len(table))
    ratio = held_out_ratio(run)
    others = table.drop(first).mean(axis=1).sort_values(ascending=False, kind="stable").index
    estimates = {str(name): folds_apart(table, ratio, str(name), first) for name in others}
    return Comparisons(
        basis="folds",
        incumbent_id=first,
        reference=first,
        frame=as_measured(run, judged(estimates, all_pairs(len(table)), run.margin)),
        means=fold_means(trials, ratio),
        on_pictures=True,
        candidates=len(table),
        pairs=partial(pairs_of, pair=partial(folds_apart, table, ratio)),
    )


def _need_pictures(run: RunData) -> None:
    told = run.completed["n"].dropna()
    if len(told) and int(told.max()) < LEAST_PICTURES:
        raise NotKnownError(
            f"validation has too few pictures ({told.max()}) to judge a difference; prepare the "
            f"dataset with {LEAST_PICTURES} or more"
        )


def _need_two(count: int) -> None:
    if count < 2:
        raise NotKnownError(
            "only one fully trained configuration can be judged: nothing to compare it with"
        )
