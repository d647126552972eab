"""The table of precision, recall and F1 of each class for the best models."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from analysis.classes.scores import class_effects, per_class
from analysis.rendering.digits import supported, with_interval
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import picture_notes, read_clusters
from analysis.run.run_data import RunData, read_confusion, read_probabilities
from analysis.run.trials import ranked
from analysis.statistics.estimate import NotKnownError

MOST_MODELS = 12


def classes(run: RunData) -> Table:
    """Return the scores of the best models on each class: a row per model and class.

    Frame: ``name`` (of the model), ``class``, ``precision``, ``recall``, ``f1``, ``n``
    (validation pictures of the class), ``predicted`` (pictures predicted to be of the class), the
    95 % Wilson intervals ``precision_low``, ``precision_high``, ``recall_low``, ``recall_high``,
    ``trial`` (number of the trial), ``trial_id``.

    Raises:
        NotKnownError: No trial has predictions.
    """
    frame, models = of_best_models(run, partial(_scores, run), "scores by class")
    view = View(title="Each class, at the best epoch", columns=_columns(frame))
    return Table(name="classes", frame=frame, views=(view,), notes=_notes(run, models))


def of_best_models(
    run: RunData, read: Callable[[str], pd.DataFrame | None], what: str
) -> tuple[pd.DataFrame, int]:
    """Join what ``read`` returns for each of the best `MOST_MODELS` models that have predictions.

    Args:
        run: The run.
        read: Trial id → rows about its predictions; None if it has none.
        what: What needs predictions, for the error.

    Returns:
        The rows, with ``name`` in front and ``trial`` and ``trial_id`` at the end, and the number
        of models.

    Raises:
        NotKnownError: No trial has predictions.
    """
    parts: list[pd.DataFrame] = []
    for _, trial in ranked(run).iterrows():
        rows = read(trial["trial_id"]) if len(parts) < MOST_MODELS else None
        if rows is not None:
            facts = {"trial": trial["number"], "trial_id": trial["trial_id"]}
            parts.append(rows.assign(name=trial["name"], **facts))
    if not parts:
        raise NotKnownError(f"no trial of {run.name} has predictions, which {what} need")
    frame = pd.concat(parts, ignore_index=True)
    return frame[["name", *frame.columns.drop("name")]], len(parts)


def _scores(run: RunData, trial_id: str) -> pd.DataFrame | None:
    answers, confusion = read_probabilities(run, trial_id), read_confusion(run, trial_id)
    if answers is None or confusion is None:
        return None
    clusters = read_clusters(run, answers["image_id"].tolist())
    effects = class_effects(answers, clusters, len(run.info.classes))
    return per_class(confusion, run.info.classes, effects)


def _columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    return (
        Column(key="trial", heading="trial"),
        Column(key="name", heading="name"),
        Column(key="class", heading="class"),
        *with_interval(frame, "precision"),
        *with_interval(frame, "recall"),
        Column(key="f1", heading="F1", text=supported(frame, "recall_low", "recall_high")),
        Column(key="predicted", heading="predicted"),
        Column(key="n", heading="n"),
    )


def _notes(run: RunData, models: int) -> tuple[str, ...]:
    return (
        "n: pictures of the class in validation; predicted: pictures predicted to be of the class.",
        *picture_notes(run),
        "95 % intervals: Wilson, for one trained model; recall is a share of n, precision a share "
        "of predicted. A class without pictures in validation has neither recall nor F1.",
        f"The {models} best trials with predictions, in the order of the table of all models.",
    )
