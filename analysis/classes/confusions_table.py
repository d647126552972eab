"""The table of the pairs of classes that the best models confuse most."""

from functools import partial

import pandas as pd

from analysis.classes.confusions import confusions
from analysis.classes.table import of_best_models
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import picture_notes, read_clusters
from analysis.run.run_data import RunData, read_probabilities

MOST_PAIRS = 20
"""Maximum number of pairs per model."""


def confusions_table(run: RunData) -> Table:
    """Return the most frequent kinds of mistakes of the best models: a row per model and pair.

    Frame: ``name`` (of the model), ``true``, ``predicted`` (classes), ``pictures`` (of the true
    class that were predicted as the other), ``n`` (validation pictures of the true class),
    ``share`` (of n), its 95 % Wilson interval ``share_low``, ``share_high``, ``trial`` (number of
    the trial), ``trial_id``.

    Raises:
        NotKnownError: No trial has predictions.
    """
    frame, models = of_best_models(run, partial(_confusions, run), "confusions")
    view = View(title="Classes that are confused most, at the best epoch", columns=_columns(frame))
    return Table(name="confusions", frame=frame, views=(view,), notes=_notes(run, models))


def _confusions(run: RunData, trial_id: str) -> pd.DataFrame | None:
    answers = read_probabilities(run, trial_id)
    if answers is None:
        return None
    clusters = read_clusters(run, answers["image_id"].tolist())
    return confusions(answers, run.info.classes, clusters, MOST_PAIRS)


def _columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    text = supported(frame, "share_low", "share_high")
    return (
        Column(key="trial", heading="trial"),
        Column(key="name", heading="name"),
        Column(key="true", heading="true class"),
        Column(key="predicted", heading="predicted class"),
        Column(key="pictures", heading="pictures"),
        Column(key="n", heading="n"),
        Column(key="share", heading="share", text=text),
        Column(key="share_low", upper_key="share_high", heading="share, 95 %", text=text),
    )


def _notes(run: RunData, models: int) -> tuple[str, ...]:
    return (
        "n: pictures of the true class in validation; pictures: those predicted as the other "
        "class; share: pictures / n, with its 95 % interval (Wilson).",
        *picture_notes(run),
        f"The {MOST_PAIRS} most frequent pairs (fewer if there are fewer) of each of the {models} "
        "best trials with predictions; `predictions/` holds every answer.",
    )
