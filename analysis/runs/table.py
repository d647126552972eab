"""The best configurations of two runs in one table."""

import pandas as pd

from analysis.folds.statistics import (
    CORRECTED,
    by_fold,
    fold_average,
    fold_means,
    held_out_ratio,
    pictures_of_folds,
)
from analysis.rendering.table import Column, Table, View, number_text
from analysis.run.clusters import n_notes, single_intervals
from analysis.run.run_data import RunData
from analysis.run.trials import fairly_trained, incumbent, ranked

SHOWN = 10
"""Maximum number of configurations of each run in the table."""


def best_table(first: RunData, second: RunData, names: tuple[str, str]) -> Table:
    """Show the incumbents of both runs, and the best trials of their other best configurations.

    Frame, a row per configuration, the best first: ``run``, ``name``, ``accuracy`` of its best
    trial (at the epoch that the run's objective selects) with ``accuracy_low`` and
    ``accuracy_high`` (95 %, Wilson), ``last_accuracy``, ``replicates`` (completed), ``parameters``,
    ``device_seconds`` (of all its trials), ``n`` and ``configuration_id``. For a k-fold run the
    accuracies are averages over folds with the interval of `analysis.statistics.pairs.over_folds`,
    and n counts the pictures of all folds.
    """
    averages = [fold_average(run) is not None for run in (first, second)]
    frames = [_best_of(run, name) for run, name in zip((first, second), names, strict=True)]
    frame = pd.concat(frames, ignore_index=True)
    ascending, text = first.metric.sign < 0, first.metric.cells(number_text)
    frame = frame.sort_values("accuracy", ascending=ascending, kind="stable", ignore_index=True)
    columns = (
        Column(key="run", heading="run"),
        Column(key="name", heading="name"),
        Column(key="accuracy", heading="accuracy", text=text),
        Column(key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=text),
        Column(key="last_accuracy", heading="accuracy, last epoch", text=text),
        Column(key="replicates", heading="replicates"),
        Column(key="parameters", heading="parameters"),
        Column(key="n", heading="n"),
    )
    return Table(
        name="best_of_both",
        frame=frame,
        views=(View(title="The best configurations of both runs", columns=columns),),
        notes=(
            *n_notes(first),
            f"The best trial of each of the best configurations of a run, at most {SHOWN}.",
            "95 % interval: Wilson, for one trained model; it does not cover the effect of another "
            "seed, nor the bias of selecting the best of many models.",
            *([f"Over folds: averages; 95 % interval: {CORRECTED}."] if any(averages) else []),
        ),
    )


def _best_of(run: RunData, name: str) -> pd.DataFrame:
    if fold_average(run) is not None:
        return _averages_of(run, name)
    trials = ranked(run)
    trials = trials[trials["status"].isin(run.comparable["status"].unique())]
    first = trials["trial_id"] == incumbent(run)["trial_id"]
    trials = pd.concat([trials[first], trials[~first]])
    best = trials.drop_duplicates("configuration_id").head(SHOWN)
    replicates = run.completed.groupby("configuration_id").size()
    spent = run.trials.groupby("configuration_id")["device_seconds"].sum()
    accuracy = best[run.value_column]
    return pd.DataFrame(
        {
            "run": name,
            "name": best["name"],
            "accuracy": accuracy,
            **single_intervals(run, accuracy, best),
            "last_accuracy": best[f"last_{run.metric.name}"],
            "replicates": best["configuration_id"].map(replicates).fillna(0).astype(int),
            "parameters": best["parameters"],
            "device_seconds": best["configuration_id"].map(spent),
            "n": best["n"],
            "configuration_id": best["configuration_id"],
        }
    )


def _averages_of(run: RunData, name: str) -> pd.DataFrame:
    """Return the columns of `_best_of` for a k-fold run, with averages over folds."""
    trials = fairly_trained(run)
    of = trials.groupby("configuration_id")
    pictures = {str(name): pictures_of_folds(run, own) for name, own in of}
    seeds = trials.value_counts(["configuration_id", "fold"])
    facts = pd.DataFrame(
        {
            "run": name,
            "name": of["name"].first(),
            "last_accuracy": by_fold(trials, f"last_{run.metric.name}").mean(axis="columns"),
            "replicates": seeds.groupby("configuration_id").min(),
            "parameters": of["parameters"].first(),
            "device_seconds": run.trials.groupby("configuration_id")["device_seconds"].sum(),
            "n": pd.Series(pictures, dtype="Int64"),
        }
    )
    means = fold_means(trials, held_out_ratio(run)).drop(columns=["trainings", "trial_id"])
    ascending = run.metric.sign < 0
    best = means.sort_values("accuracy", ascending=ascending, kind="stable").head(SHOWN)
    return best.join(facts).rename_axis("configuration_id").reset_index()
