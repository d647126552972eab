"""Trials that were not trained to the end, and why."""

from analysis.comparison import ranked
from analysis.run_data import RunData
from analysis.tables.models import status_words
from analysis.tables.table import Column, Table, View
from tune.schema import Status


def incomplete(run: RunData) -> Table | None:
    """Show each trial that did not complete; None where all did.

    Frame, a row per trial, early-stopped first, by objective, ties by number: ``name``, ``status``,
    ``reason``, ``epochs_trained``, ``accuracy`` (at the epoch that the objective picks), ``n``
    (validation pictures), ``trial`` (its number), ``trial_id``.
    """
    trials = ranked(run)
    trials = trials[trials["status"] != Status.COMPLETED].reset_index(drop=True)
    if trials.empty:
        return None
    trials = trials.rename(
        columns={"number": "trial", f"{run.info.objective['at']}_val_accuracy": "accuracy"}
    )
    keys = ["name", "status", "reason", "epochs_trained", "accuracy", "n", "trial", "trial_id"]
    columns = (
        Column(key="trial", heading="trial"),
        Column(key="name", heading="name"),
        Column(key="status", heading="status", text=status_words),
        Column(key="epochs_trained", heading="epochs"),
        Column(key="accuracy", heading="accuracy so far"),
        Column(key="n", heading="n"),
        Column(key="reason", heading="reason"),
    )
    view = View(title="Trials that did not complete", columns=columns)
    return Table(
        name="incomplete", frame=trials[keys], views=(view,), notes=("n: pictures in validation.",)
    )
