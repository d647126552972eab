"""Precision, recall and F1 of each class for the best models, as in study B's tables."""

import pandas as pd

from analysis.classes.scores import per_class
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.run.run_data import RunData, read_confusion
from analysis.run.trials import ranked
from analysis.statistics.estimate import NotKnownError

MOST_MODELS = 12


def classes(run: RunData) -> Table:
    """Show what the best models do with each class: a row per model and class.

    Frame: ``name`` (of the model), ``class``, ``precision``, ``recall``, ``f1``, ``n``
    (validation pictures of the class), ``predicted`` (pictures told to be of it), the 95 % Wilson
    intervals ``precision_low``, ``precision_high``, ``recall_low``, ``recall_high``, ``trial``
    (its number), ``trial_id``.

    Raises:
        NotKnownError: No trial left predictions.
    """
    parts: list[pd.DataFrame] = []
    for _, trial in ranked(run).iterrows():
        confusion = read_confusion(run, trial["trial_id"]) if len(parts) < MOST_MODELS else None
        if confusion is not None:
            facts = {"trial": trial["number"], "trial_id": trial["trial_id"]}
            parts.append(per_class(confusion, run.info.classes).assign(name=trial["name"], **facts))
    if not parts:
        raise NotKnownError(f"no trial of {run.name} left predictions to count classes by")
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[["name", *frame.columns.drop("name")]]
    view = View(title="Each class, at the best epoch", columns=_columns(frame))
    return Table(name="classes", frame=frame, views=(view,), notes=_notes(len(parts)))


def _columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    def pair(name: str) -> tuple[Column, Column]:
        low, high = f"{name}_low", f"{name}_high"
        text = supported(frame, low, high)
        return (
            Column(key=name, heading=name, text=text),
            Column(key=low, upper_key=high, heading=f"{name}, 95 %", text=text),
        )

    return (
        Column(key="trial", heading="trial"),
        Column(key="name", heading="name"),
        Column(key="class", heading="class"),
        *pair("precision"),
        *pair("recall"),
        Column(key="f1", heading="F1", text=supported(frame, "recall_low", "recall_high")),
        Column(key="predicted", heading="predicted"),
        Column(key="n", heading="n"),
    )


def _notes(models: int) -> tuple[str, ...]:
    return (
        "n: pictures of the class in validation; predicted: pictures told to be of it.",
        "95 % intervals: Wilson, for one trained model; recall of n, precision of those predicted.",
        f"The {models} best trials with predictions, in the order of the table of all models.",
    )
