"""Accuracy by the levels of one hyperparameter."""

import pandas as pd

from analysis.comparison import accuracy_at_common_epoch, common_epoch
from analysis.hyperparameters import NOT_USED, checked, followers, levels, words
from analysis.run_data import RunData
from analysis.tables.table import Column, Table, View
from tune.schema import Status


def by_hyperparameter(run: RunData, name: str) -> Table:
    """Compare the levels of hyperparameter ``name``: a row per level, in order.

    Frame: ``name`` (the level); ``n`` (validation pictures); ``trials``, ``completed``,
    ``early_stopped``, ``other``, and ``configurations`` (that completed); ``accuracy`` and
    ``best``: mean and best over *completed* trials, at the epoch that the objective picks;
    ``accuracy_at_epoch``: the same mean over completed and early-stopped trials alike, each
    judged by its first ``epoch`` epochs only, which all of them were given, and
    ``best_at_epoch``. Means are over configurations, the replicates of each averaged first.

    Raises:
        ValueError: The run has no such hyperparameter.
    """
    level = levels(run.trials[checked(run, name)])
    frame = _counts(run, level)
    completed = run.completed.assign(
        value=run.completed[f"{run.info.objective['at']}_val_accuracy"]
    )
    frame[["configurations", "accuracy", "best"]] = _mean_and_best(completed, "value", level)
    fair = accuracy_at_common_epoch(run)
    means = _mean_and_best(fair, "accuracy_at_epoch", level)
    frame[["accuracy_at_epoch", "best_at_epoch"]] = means[["mean", "best"]]
    frame["configurations"] = frame["configurations"].fillna(0).astype(int)
    frame["epoch"] = common_epoch(run)
    frame = frame.rename_axis("name").reset_index().astype({"name": str})
    view = View(title=f"Accuracy by {words(name)}", columns=_columns(run, name))
    return Table(name=f"by_{name}", frame=frame, views=(view,), notes=_notes(run, name))


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


def _mean_and_best(trials: pd.DataFrame, column: str, level: "pd.Series[str]") -> pd.DataFrame:
    """Return ``configurations``, ``mean`` and ``best`` per level, replicates averaged first."""
    keys = [level[trials.index].rename("level"), trials["configuration_id"]]
    means = trials.groupby(keys, observed=True)[column].mean().groupby("level", observed=True)
    best = trials.groupby(keys[0], observed=True)[column].max()
    return pd.DataFrame({"configurations": means.count(), "mean": means.mean(), "best": best})


def _columns(run: RunData, name: str) -> tuple[Column, ...]:
    columns = [
        Column(key="name", heading=words(name)),
        Column(key="trials", heading="trials"),
        Column(key="completed", heading="completed"),
        Column(key="early_stopped", heading="stopped early"),
        Column(key="other", heading="other"),
        Column(key="accuracy", heading="mean, completed"),
        Column(key="best", heading="best, completed"),
        Column(key="n", heading="n"),
    ]
    if _stopped(run):
        heading = f"mean at epoch {common_epoch(run)}"
        columns.insert(-1, Column(key="accuracy_at_epoch", heading=heading))
    return tuple(columns)


def _notes(run: RunData, name: str) -> tuple[str, ...]:
    notes = ["n: pictures in validation."]
    notes += ["Means are over configurations, the replicates of each averaged first."]
    if _stopped(run):
        epoch = common_epoch(run)
        notes.append(
            "The completed trials are survivors of early stopping and no fair sample: compare by "
            f"the mean at epoch {epoch}, the last that all {len(run.comparable)} completed and "
            "early-stopped trials reached; it looks at no later epoch."
        )
    notes.append("No difference is shown to be real here; the tables of effects and levels judge.")
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
