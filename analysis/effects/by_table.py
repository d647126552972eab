"""Accuracy by the levels of one hyperparameter."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from analysis.effects.statistics import level_means
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import n_notes, single_intervals
from analysis.run.hyperparameters import NOT_USED, checked, followers, levels, words
from analysis.run.run_data import RunData, add_replicates
from analysis.run.trials import accuracy_at_common_epoch, common_epoch, patience_words
from tune.run.trial import Status


def by_hyperparameter(run: RunData, name: str) -> Table:
    """Compare the levels of hyperparameter ``name``: a row per level, in order.

    Frame: ``name`` (the level); ``n`` (validation pictures); ``trials``, ``completed``,
    ``early_stopped``, ``other``; ``configurations`` (number of completed configurations);
    ``accuracy`` and ``best`` (mean and best value over *completed* trials at the epoch that the
    objective selects); ``accuracy_at_epoch`` and ``best_at_epoch`` (the same over completed and
    early-stopped trials, from the first ``epoch`` epochs only, which all of them reached).

    Means are over configurations, after averaging the replicates of each. Every accuracy has a
    95 % interval, ``_low`` and ``_high``: Wilson's for a maximum, and that of
    `analysis.effects.statistics.level_means` for a mean. The interval is missing if early stopping
    selected the trials that the mean is over, or if the error cannot be estimated.

    Raises:
        UserError: The run has no such hyperparameter.
    """
    level = levels(run.trials[checked(run, name)])
    frame = _counts(run, level)
    completed = run.completed.assign(accuracy=run.completed[run.value_column])
    frame = frame.join(_mean_and_best(run, completed, "accuracy", "best", level))
    frame["configurations"] = frame["configurations"].fillna(0).astype(int)
    fair = accuracy_at_common_epoch(run)
    means = _mean_and_best(run, fair, "accuracy_at_epoch", "best_at_epoch", level)
    frame = frame.join(means.drop(columns="configurations"))
    known = level_means(run, level.set_axis(run.trials["trial_id"])[fair["trial_id"]])
    known = known.reindex(frame.index.astype(str)).set_axis(frame.index)
    for mean in ("accuracy", "accuracy_at_epoch"):
        same = np.isclose(frame[mean], known["mean"])  # otherwise the interval is of another mean
        for end in ("low", "high"):
            frame[f"{mean}_{end}"] = known[end].where(same)
    frame["epoch"] = common_epoch(run)
    frame = frame.rename_axis("name").reset_index().astype({"name": str})
    view = View(title=f"Accuracy by {words(name)}", columns=_columns(run, name, frame))
    return Table(name=f"by_{name}", frame=frame, views=(view,), notes=_notes(run, name, frame))


def _counts(run: RunData, level: "pd.Series[str]") -> pd.DataFrame:
    status = run.trials["status"]
    groups = pd.DataFrame(
        {
            "n": run.trials["n"],
            "trials": 1,
            "completed": status == Status.COMPLETED,
            "early_stopped": status == Status.EARLY_STOPPED,
        }
    ).groupby(level, observed=True)
    counts = groups.sum(numeric_only=True).assign(n=groups["n"].max())
    return counts.assign(other=counts["trials"] - counts["completed"] - counts["early_stopped"])


def _mean_and_best(
    run: RunData, trials: pd.DataFrame, mean: str, best: str, level: "pd.Series[str]"
) -> pd.DataFrame:
    """Return ``configurations``, ``mean`` and ``best`` per level, averaging replicates first."""
    keys = [level[trials.index].rename("level"), trials["configuration_id"]]
    means = trials.groupby(keys, observed=True)[mean].mean().groupby("level", observed=True)
    ascending = run.metric.sign < 0
    ordered = trials.assign(level=keys[0]).sort_values(mean, ascending=ascending, kind="stable")
    top = ordered.drop_duplicates("level").set_index("level")
    interval = single_intervals(run, top[mean], top)
    interval.columns = [f"{best}_low", f"{best}_high"]
    columns = {"configurations": means.count(), mean: means.mean(), best: top[mean]}
    return pd.DataFrame(columns).join(interval)


def _columns(run: RunData, name: str, frame: pd.DataFrame) -> tuple[Column, ...]:
    cells = run.metric.cells
    text = cells(supported(frame, "accuracy_at_epoch_low", "accuracy_at_epoch_high"))
    best = cells(supported(frame, "best_low", "best_high"))
    columns = [
        Column(key="name", heading=words(name)),
        Column(key="trials", heading="trials"),
        Column(key="completed", heading="completed"),
        Column(key="early_stopped", heading="stopped early"),
        Column(key="other", heading="other"),
        *_with_interval("accuracy", "mean, completed", text),
        *_with_interval("best", "best, completed", best),
    ]
    if _stopped(run):
        heading = f"mean at epoch {common_epoch(run)}"
        columns += _with_interval("accuracy_at_epoch", heading, text)
    return (*columns, Column(key="n", heading="n"))


def _with_interval(key: str, heading: str, text: Callable[[Any], str]) -> tuple[Column, Column]:
    interval = f"{heading}: 95 % interval"
    return (
        Column(key=key, heading=heading, text=text),
        Column(key=f"{key}_low", upper_key=f"{key}_high", heading=interval, text=text),
    )


def _notes(run: RunData, name: str, frame: pd.DataFrame) -> tuple[str, ...]:
    notes = [*n_notes(run)]
    notes += ["Means are over configurations, the trainings of each averaged first."]
    if _stopped(run):
        epoch = common_epoch(run)
        notes.append(
            "The completed trials survived early stopping, so they are not a fair sample: compare "
            f"by the mean at epoch {epoch}, the last epoch that all {len(run.comparable):,} "
            f"completed and early-stopped trials reached{patience_words(run)}. The mean of the "
            "completed trials has no interval, because they do not represent a population."
        )
    notes.append(
        "95 % interval: "
        + (
            "Wilson's for a best trial, which does not allow for its selection; "
            if run.has_pictures and run.metric.is_accuracy
            else ""
        )
        + "that of the table of levels for a mean"
        + (
            "."
            if frame["accuracy_at_epoch_low"].notna().any()
            else f", not known without replicates; {add_replicates(run)}."
        )
    )
    notes.append("This table tests no difference; see the tables of effects and levels.")
    leader = run.info.tied.get(name)
    tied = [leader] if leader else followers(run, name)
    if tied:
        names = " and ".join(words(each) for each in (name, *tied))
        notes.append(f"Tied: {names} change together, so the table shows their joint effect.")
    if run.trials[name].isna().any():
        notes.append(f"{NOT_USED}: trials in a part of the space without {words(name)}.")
    return tuple(notes)


def _stopped(run: RunData) -> bool:
    return bool((run.trials["status"] == Status.EARLY_STOPPED).any())
