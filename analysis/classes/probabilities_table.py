"""The table of how good the predicted probabilities of the best models are."""

from functools import partial

import pandas as pd

from analysis.classes.figure import MOST_NUMBERED
from analysis.classes.probabilities import BINS, TOP, Predicted, scores
from analysis.classes.table import of_best_models
from analysis.rendering.table import Column, Table, View
from analysis.run.run_data import RunData, read_shares


def probabilities_table(run: RunData) -> Table:
    """Return the scores of the probabilities of the best models on validation: a row per model.

    Frame: ``name``, ``n`` (validation pictures), ``auc``, ``average_precision``, ``ece`` and
    ``top_5`` of `analysis.classes.probabilities.scores`, ``trial`` (number), ``trial_id``.

    Raises:
        NotKnownError: No trial has predictions with the probabilities of all classes.
    """
    frame, models = of_best_models(run, partial(_scores, run), "scores of probabilities")
    many = len(run.info.classes) > MOST_NUMBERED
    columns = (
        Column(key="trial", heading="trial"),
        Column(key="name", heading="name"),
        Column(key="ece", heading="calibration error"),
        Column(key="auc", heading="AUC"),
        Column(key="average_precision", heading="average precision"),
        *([Column(key="top_5", heading=f"top-{TOP} accuracy")] if many else []),
        Column(key="n", heading="n"),
    )
    view = View(title="How good the probabilities are, at the best epoch", columns=columns)
    notes = (
        "n: pictures in validation. Calibration error (ECE): mean distance between how sure a "
        f"model is and how often it is right, over {BINS} bins of equal width (Guo et al. 2017); 0 "
        "is best. AUC: area under the ROC curve; average precision: that under the curve of "
        "precision and recall; both of one class against the rest, averaged over classes.",
        f"Single trainings, without intervals; the {models} best trials with predictions.",
    )
    return Table(name="probabilities", frame=frame, views=(view,), notes=notes)


def _scores(run: RunData, trial_id: str) -> pd.DataFrame | None:
    predicted = read_shares(run, trial_id)
    if predicted is None:
        return None
    _, labels, shares = predicted
    found = scores(Predicted(labels, shares))
    return pd.DataFrame([{"n": len(labels), **found}])
