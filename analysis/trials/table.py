"""The table of all trials, with averages over classes."""

import pandas as pd

from analysis.classes.averages import AVERAGES, repeated_notes, shown_averages
from analysis.comparisons.statistics import against_incumbent
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.rendering.words import INCUMBENT, SCORES, first_upper, status_words
from analysis.run.clusters import n_notes, single_intervals
from analysis.run.hyperparameters import level_text, words
from analysis.run.run_data import RunData
from analysis.run.trials import ranked
from analysis.statistics.estimate import NotKnownError
from analysis.trials.largest import no_better_than_largest
from tune.run.trial import Status

STUDY_COLUMNS = {
    "kernel_size": "kernel",
    "blocks": "blocks",
    "channels": "channels",
    "fc_layers": "FCs",
}
"""Hyperparameter → heading, in the order of the first study's tables 2.2 and 2.3 (see
`analysis.published`)."""


WILSON = (
    "95 % interval: Wilson, for one trained model on n pictures; it does not cover another seed."
)


def models(run: RunData) -> Table:
    """Return a row per trial: completed ones first, then early-stopped ones, then the others.

    Frame: ``name``; every hyperparameter that at least one trial has; ``n`` (validation pictures);
    ``accuracy`` with its 95 % Wilson interval ``accuracy_low`` and ``accuracy_high``, ``macro_*``
    and ``micro_*`` recall, precision and f1 where they were measured, all at the epoch that the
    objective selects;
    ``best_epoch``, ``best_accuracy``, ``last_accuracy``, ``epochs_trained``; ``status``,
    ``reason``, ``phase``, ``replicate``, ``parameters``, ``seconds``, ``device_seconds``,
    ``trial`` (its number), ``trial_id``, ``configuration_id``; ``verdict`` against the incumbent
    (empty if there is none), of the configuration if the run has replicates, otherwise of the
    trained model.
    """
    frame = _frame(run)
    views = tuple(
        View(title=f"All models, {average} averages", columns=_columns(run, frame, average))
        for average in shown_averages(frame)
    ) or (View(title="All models", columns=_columns(run, frame, "")),)
    return Table(
        name="models", frame=frame, views=views, notes=(*_notes(run), *repeated_notes(frame))
    )


def _frame(run: RunData) -> pd.DataFrame:
    trials, at, metric = ranked(run), run.info.objective["at"], run.metric.name
    used = [name for name in run.info.hyperparameters if trials[name].notna().any()]
    accuracy = trials[run.value_column]
    scores = {
        f"{average}_{score}": trials[f"{at}_val_{average}_{score}"]
        for average in AVERAGES
        for score in SCORES
        if f"{at}_val_{average}_{score}" in trials
    }
    figures = trials[["name", *used, "n"]].assign(
        accuracy=accuracy,
        **single_intervals(run, accuracy, trials),
        **scores,
        best_epoch=trials["best_epoch"],
        best_accuracy=trials[f"best_{metric}"],
        last_accuracy=trials[f"last_{metric}"],
    )
    facts = ["epochs_trained", "status", "reason", "phase", "replicate", "parameters"]
    facts += ["seconds", "device_seconds", "number", "trial_id", "configuration_id"]
    joined = pd.concat([figures, trials[facts].rename(columns={"number": "trial"})], axis=1)
    return joined.assign(verdict=_verdicts(run, trials)).reset_index(drop=True)


def _verdicts(run: RunData, trials: pd.DataFrame) -> "pd.Series[str]":
    """Return the verdict of each trial, or its configuration, against the incumbent."""
    try:
        found = against_incumbent(run)
    except NotKnownError:
        return pd.Series("", index=trials.index)
    verdicts = {**found.frame.set_index("id")["verdict"], found.reference: INCUMBENT}
    of = "trial_id" if found.basis == "models" else "configuration_id"
    told = trials[of].map(verdicts).where(trials["status"] == Status.COMPLETED)
    return told.fillna("")


def _columns(run: RunData, frame: pd.DataFrame, average: str) -> tuple[Column, ...]:
    shown = [name for name in STUDY_COLUMNS if name in frame]
    apart = (*run.info.searched, "fold")  # These distinguish trials with equal names.
    shown += [name for name in apart if name in frame and name not in shown]
    text = run.metric.cells(supported(frame, "accuracy_low", "accuracy_high"))
    other = "last" if run.info.objective["at"] == "best" else "best"
    last = [Column(key="replicate", heading="replicate")] if frame["replicate"].any() else []
    return (
        Column(key="name", heading="name"),
        *(
            Column(key=name, heading=STUDY_COLUMNS.get(name, words(name)), text=level_text)
            for name in shown
        ),
        Column(key="accuracy", heading="accuracy", text=text),
        Column(key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=text),
        *(
            Column(key=f"{average}_{score}", heading=word, text=text)
            for score, word in SCORES.items()
            if f"{average}_{score}" in frame
        ),
        Column(key="best_epoch", heading="best epoch"),
        Column(key=f"{other}_accuracy", heading=f"accuracy, {other} epoch", text=text),
        Column(key="verdict", heading="against the incumbent"),
        Column(key="epochs_trained", heading="epochs"),
        Column(key="status", heading="status", text=status_words),
        *last,
        Column(key="n", heading="n"),
    )


def _moved(run: RunData) -> tuple[str, ...]:
    """Return a note about trials that moved to another node; old runs do not count these."""
    moved = int((run.trials["nodes_lost"] > 0).sum()) if "nodes_lost" in run.trials else 0
    if not moved:
        return ()
    return (
        f"Trials that continued from a checkpoint on another node after theirs died: {moved:,}.",
    )


def _notes(run: RunData) -> tuple[str, ...]:
    at = run.info.objective["at"]
    picked = "the epoch with the best objective" if at == "best" else "the last epoch"
    on = "pictures" if run.has_pictures else "data"
    too = "high" if run.metric.sign > 0 else "low"
    what = "accuracies" if run.metric.is_accuracy else "values"
    optimism = f"That epoch was picked on the same {on}, so these {what} are a little too {too}."
    scores = ", recall, precision and F1" if "best_val_macro_f1" in run.trials else ""
    named = run.metric.word + scores
    largest = no_better_than_largest(run)
    return (
        *([largest] if largest else []),
        *n_notes(run),
        f"Trials: {len(run.trials):,}, of which {len(run.completed):,} completed.",
        *_moved(run),
        f"{first_upper(named)} at {picked}.",
        *([optimism] if at == "best" else []),
        *([WILSON] if run.has_pictures and run.metric.is_accuracy else []),
        "Against the incumbent: the verdict of the table of comparisons; empty if it has none.",
        "Trials that were stopped early had fewer epochs and stand below the completed ones.",
    )
