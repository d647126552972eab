"""The best configurations of two runs in one table."""

import pandas as pd

from analysis.comparison import ranked
from analysis.run_data import RunData
from analysis.statistics.intervals import wilson_interval
from analysis.tables.table import Column, Table, View

SHOWN = 10
"""Configurations of each run that stand side by side."""


def best_table(first: RunData, second: RunData, names: tuple[str, str]) -> Table:
    """Show the best trial of the best configurations of both runs.

    Frame, a row per configuration, the best first: ``run``, ``name``, ``accuracy`` of its best
    trial (at the epoch that the run's objective picks) with ``accuracy_low`` and ``accuracy_high``
    (95 %, Wilson), ``last_accuracy``, ``replicates`` (completed), ``parameters``,
    ``device_seconds`` (of all its trials), ``n`` and ``configuration_id``.
    """
    frames = [_best_of(run, name) for run, name in zip((first, second), names, strict=True)]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)
    columns = (
        Column(key="run", heading="run"),
        Column(key="name", heading="name"),
        Column(key="accuracy", heading="accuracy"),
        Column(key="accuracy_low", upper_key="accuracy_high", heading="95 % interval"),
        Column(key="last_accuracy", heading="accuracy, last epoch"),
        Column(key="replicates", heading="replicates"),
        Column(key="parameters", heading="parameters"),
        Column(key="n", heading="n"),
    )
    return Table(
        name="best_of_both",
        frame=frame,
        views=(View(title="The best configurations of both runs", columns=columns),),
        notes=(
            "n: pictures in validation.",
            f"The best trial of each of the best {SHOWN} configurations of a run at most.",
            "95 % interval: Wilson, for one trained model; it does not cover another seed, nor "
            "that the model was picked as the best of many.",
        ),
    )


def _best_of(run: RunData, name: str) -> pd.DataFrame:
    trials = ranked(run)
    trials = trials[trials["status"].isin(run.comparable["status"].unique())]
    best = trials.drop_duplicates("configuration_id").head(SHOWN)
    replicates = run.completed.groupby("configuration_id").size()
    spent = run.trials.groupby("configuration_id")["device_seconds"].sum()
    accuracy = best[f"{run.info.objective['at']}_val_accuracy"]
    return pd.DataFrame(
        {
            "run": name,
            "name": best["name"],
            "accuracy": accuracy,
            **wilson_interval(accuracy, best["n"]),
            "last_accuracy": best["last_val_accuracy"],
            "replicates": best["configuration_id"].map(replicates).fillna(0).astype(int),
            "parameters": best["parameters"],
            "device_seconds": best["configuration_id"].map(spent),
            "n": best["n"],
            "configuration_id": best["configuration_id"],
        }
    )
