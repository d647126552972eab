"""The table of trials that were not trained to the end, with the reasons."""

from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.rendering.words import status_words
from analysis.run.clusters import n_notes, single_intervals
from analysis.run.run_data import RunData
from analysis.run.trials import ranked
from tune.run.trial import Status


def incomplete(run: RunData) -> Table | None:
    """List the trials that did not complete; return None if all did.

    Frame, a row per trial, early-stopped trials first, then by objective, then by number:
    ``name``, ``status``, ``reason``, ``epochs_trained``, ``accuracy`` (at the epoch that the
    objective selects) with its 95 % Wilson interval ``accuracy_low`` and ``accuracy_high``, ``n``
    (validation pictures), ``trial`` (number of the trial), ``trial_id``.
    """
    trials = ranked(run)
    trials = trials[trials["status"] != Status.COMPLETED].reset_index(drop=True)
    if trials.empty:
        return None
    trials = trials.rename(columns={"number": "trial", run.value_column: "accuracy"})
    frame = trials.join(single_intervals(run, trials["accuracy"], trials))
    text = run.metric.cells(supported(frame, "accuracy_low", "accuracy_high"))
    keys = ["name", "status", "reason", "epochs_trained", "accuracy", "accuracy_low"]
    keys += ["accuracy_high", "n", "trial", "trial_id"]
    columns = (
        Column(key="trial", heading="trial"),
        Column(key="name", heading="name"),
        Column(key="status", heading="status", text=status_words),
        Column(key="epochs_trained", heading="epochs"),
        Column(key="accuracy", heading="accuracy so far", text=text),
        Column(key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=text),
        Column(key="n", heading="n"),
        Column(key="reason", heading="reason"),
    )
    view = View(title="Trials that did not complete", columns=columns)
    notes = (
        *n_notes(run),
        *(["95 % interval: Wilson, for one trained model."] if run.has_pictures else []),
    )
    return Table(name="incomplete", frame=frame[keys], views=(view,), notes=notes)
