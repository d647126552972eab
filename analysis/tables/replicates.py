"""Configurations that were trained more than once: how far a seed moves the accuracy."""

from analysis.run_data import RunData
from analysis.tables.table import Column, Table, View


def replicates(run: RunData) -> Table | None:
    """Show each configuration with two or more completed trials; None where there is none.

    Frame, a row per configuration, by mean, ties by number: ``name``, ``n`` (validation pictures),
    ``replicates`` (completed trials), ``accuracy`` (their mean at the epoch that the objective
    picks), ``lowest``, ``highest``, ``deviation`` (standard deviation between replicates, n-1 in
    its denominator), ``configuration_id``.
    """
    trials = run.completed
    column = f"{run.info.objective['at']}_val_accuracy"
    frame = (
        trials.groupby("configuration_id", sort=False)
        .agg(
            name=("name", "first"),
            n=("n", "max"),
            replicates=("trial_id", "count"),
            accuracy=(column, "mean"),
            lowest=(column, "min"),
            highest=(column, "max"),
            deviation=(column, "std"),
        )
        .reset_index()
    )
    frame = frame[frame["replicates"] > 1]
    if frame.empty:
        return None
    frame = frame.sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)
    frame["configuration_id"] = frame.pop("configuration_id")
    headings = {
        "name": "name",
        "replicates": "replicates",
        "accuracy": "mean accuracy",
        "lowest": "lowest",
        "highest": "highest",
        "deviation": "standard deviation",
        "n": "n",
    }
    columns = tuple(Column(key=key, heading=heading) for key, heading in headings.items())
    return Table(
        name="replicates",
        frame=frame,
        views=(View(title="Configurations trained more than once", columns=columns),),
        notes=(
            "n: pictures in validation, the same for every replicate.",
            "Replicates differ in the seed alone, so their standard deviation is what chance does "
            "to one training.",
        ),
    )
