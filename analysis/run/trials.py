"""Selects and orders the trials that tables and figures compare, and the epoch to compare at."""

from functools import lru_cache
from typing import Any

import pandas as pd

from analysis.run.run_data import RunData
from tune.run import incumbent as incumbents
from tune.run.trial import Status

_STATUS_ORDER = [Status.COMPLETED, Status.EARLY_STOPPED]


@lru_cache(maxsize=4)
def common_epoch(run: RunData) -> int:
    """Return the last epoch that every completed or early-stopped trial reached.

    A training that its ``patience`` ended is complete, so it counts as trained for all its epochs.
    """
    known = run.measurements[run.measurements[run.metric.name].notna()]
    trials = run.comparable.set_index("trial_id")
    last = known.groupby("trial_id")["epoch"].max().reindex(trials.index)
    for trial_id in ended_by_patience(run):
        last[trial_id] = trials.at[trial_id, "epochs"]
    return int(last.min())


def ended_by_patience(run: RunData) -> list[str]:
    """Return the ids of completed trials whose ``patience`` ended them before their last epoch."""
    if run.imported:
        return []
    # Only this ending of a completed trial has a reason.
    return list(run.completed.loc[run.completed["reason"] != "", "trial_id"])


def patience_words(run: RunData) -> str:
    """Return how many compared trials `ended_by_patience` before the common epoch, or nothing."""
    ended = run.trials[run.trials["trial_id"].isin(ended_by_patience(run))]
    count = int((ended["epochs_trained"] < common_epoch(run)).sum())
    return f" or, for {count:,}, ran out of patience before" if count else ""


def accuracy_at_common_epoch(run: RunData) -> pd.DataFrame:
    """Return the metric of all trials after the same number of epochs.

    Returns:
        The completed and early-stopped rows of ``run.trials`` with ``accuracy_at_epoch``: the
        metric at `common_epoch` (``at: last``), or at the best epoch up to it (``at: best``).
        Trials whose metric was first measured later are left out.
    """
    accuracy = run.comparable["trial_id"].map(accuracy_within(run, common_epoch(run)))
    return run.comparable.assign(accuracy_at_epoch=accuracy)[accuracy.notna()]


def accuracy_within(run: RunData, epochs: int) -> "pd.Series[float]":
    """Return trial id → metric at the objective's epoch, of the first ``epochs``."""
    within = run.measurements[run.measurements["epoch"] <= epochs]
    within = within[within[run.metric.name].notna()]
    if run.info.objective["at"] == "best":
        ascending = run.info.objective["mode"] == "min"
        by = [run.info.objective["metric"], "epoch"]
        within = within.sort_values(by, ascending=[ascending, True], kind="stable")
        picked = within.drop_duplicates("trial_id")
    else:
        picked = within.sort_values("epoch").drop_duplicates("trial_id", keep="last")
    return picked.set_index("trial_id")[run.metric.name]


def ranked(run: RunData) -> pd.DataFrame:
    """Return trials by status (completed, early-stopped, others), then objective, then number."""
    metric, at = run.info.objective["metric"], run.info.objective["at"]
    sign = 1 if run.info.objective["mode"] == "min" else -1
    place = {status: rank for rank, status in enumerate(_STATUS_ORDER)}
    keyed = run.trials.assign(
        _group=run.trials["status"].map(lambda status: place.get(status, len(place))),
        _objective=sign * run.trials[f"{at}_{metric}"],
    )
    ordered = keyed.sort_values(["_group", "_objective", "number"], na_position="last")
    return ordered.drop(columns=["_group", "_objective"])


@lru_cache(maxsize=4)  # nearly every table uses it
def selected_finalists(run: RunData) -> bool:
    """Return whether finalists were selected from more configurations by their search training."""
    return incumbents.selected_finalists(trainings(run))


def fairly_trained(run: RunData) -> pd.DataFrame:
    """Return the completed trials that give unbiased means of their configurations.

    The trainings that finalists were selected by are left out, because the selection makes their
    accuracies too high; the later replicates of finalists remain. If the incumbent has no such
    replicates yet, all completed trials are returned. Column ``accuracy``: the metric at the epoch
    that the objective selects.
    """
    trials = run.completed.assign(accuracy=run.completed[run.value_column])
    fair = trials[trials["phase"] == "finalist"] if selected_finalists(run) else trials
    return fair if incumbent(run)["configuration_id"] in set(fair["configuration_id"]) else trials


def incumbent(run: RunData) -> "pd.Series[Any]":
    """Return the trial that represents the best configuration (`tune.run.incumbent`)."""
    trial_id = _incumbent_id(run)
    if trial_id is None:
        return run.trials.iloc[0]
    return run.trials[run.trials["trial_id"] == trial_id].iloc[0]


@lru_cache(maxsize=4)
def _incumbent_id(run: RunData) -> str | None:
    return incumbents.incumbent(trainings(run))


def trainings(run: RunData) -> list[incumbents.Training]:
    """Return the facts about all trials that the rule for the incumbent uses."""
    sign = -1 if run.info.objective["mode"] == "min" else 1
    values = run.trials["{at}_{metric}".format(**run.info.objective)]
    folds = run.trials["fold"] if "fold" in run.trials else pd.Series(pd.NA, run.trials.index)
    columns = ("trial_id", "configuration_id", "number", "phase", "status")
    return [
        incumbents.Training(
            trial_id=str(trial_id),
            configuration_id=str(configuration_id),
            number=int(number),
            phase=phase,
            status=Status(status),
            score=sign * float(value),
            fold=None if pd.isna(fold) else int(fold),
        )
        for trial_id, configuration_id, number, phase, status, value, fold in zip(
            *(run.trials[column] for column in columns), values.astype(float), folds, strict=True
        )
    ]
