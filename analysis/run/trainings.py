"""Builds the `Trainings` of a run that statistics use."""

from functools import lru_cache

import pandas as pd

from analysis.run.clusters import read_clusters
from analysis.run.predictions import read_correct
from analysis.run.run_data import RunData
from analysis.run.trials import accuracy_at_common_epoch, fairly_trained
from analysis.statistics.trainings import Trainings
from tune.run.trial import DATASET_FOLDS


def has_folds(run: RunData) -> bool:
    """Return whether trials of the run were validated on different folds."""
    return "fold" in run.trials and run.completed["fold"].nunique() > 1


def folds_in_a_repeat(run: RunData) -> int:
    """Return the number of folds of one split into folds, of which a run may have several."""
    told = run.trials.get("folds")
    return DATASET_FOLDS if told is None or told.isna().all() else int(told.max())


@lru_cache(maxsize=4)  # several tables and figures use it, and it reads many files
def fair_trainings(run: RunData) -> Trainings:
    """Return the fairly trained, completed trials (`analysis.run.trials.fairly_trained`).

    The values of a metric that is better when smaller are negated, so that larger ones are better.
    """
    trials = fairly_trained(run).set_index("trial_id")
    return _trainings(run, trials.assign(accuracy=run.metric.sign * trials["accuracy"]))


@lru_cache(maxsize=4)
def trainings_at_common_epoch(run: RunData) -> Trainings:
    """Return all completed and early-stopped trials after the same number of epochs, as measured.

    Predictions are of each trial's best epoch, which may be a later one, because the interaction of
    configurations with pictures changes little between epochs.
    """
    trials = accuracy_at_common_epoch(run).set_index("trial_id")
    fair = fair_trainings(run)
    if trials["accuracy_at_epoch"].equals(fair.accuracy.rename("accuracy_at_epoch")):
        return fair  # without early stopping both are the same
    return _trainings(run, trials.assign(accuracy=trials["accuracy_at_epoch"]), any_epoch=True)


def _trainings(run: RunData, trials: pd.DataFrame, *, any_epoch: bool = False) -> Trainings:
    accuracy = trials["accuracy"].astype(float)
    replicated = trials["configuration_id"].duplicated().any()
    # A grid without replicates has no intervals, so it needs no predictions.
    needed = (replicated or run.info.sampling != "every") and not has_folds(run)
    needed = needed and run.metric.is_accuracy and run.metric.sign > 0
    correct = read_correct(run, accuracy, any_epoch=any_epoch) if needed else None
    return Trainings(
        configuration=trials["configuration_id"].astype(str),
        accuracy=accuracy,
        correct=correct,
        clusters=None if correct is None else read_clusters(run, correct.columns),
    )
