"""Scores of predicted probabilities: calibration, ROC, precision and recall, and top-k accuracy."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    top_k_accuracy_score,
)

BINS = 15
"""Bins of equal width of the reliability diagram, as in Guo et al. 2017, "On calibration of modern
neural networks"."""
TOP = 5
"""A model of many classes is also scored by whether the true one is among this many."""

Floats = npt.NDArray[np.float64]


class Predicted(NamedTuple):
    """Predictions of one trained model on one split."""

    labels: npt.NDArray[np.int64]
    """(n,) true classes."""
    shares: Floats
    """(n, classes) probabilities; rows add up to 1."""


def scores(predicted: Predicted) -> dict[str, float]:
    """Score the probabilities of a model.

    Returns:
        ``auc`` (area under the ROC curve) and ``average_precision``, each of one class against the
        rest and averaged over the classes that have pictures and are not the only one; ``ece``
        (expected calibration error of `reliability`); ``top_5`` (share of pictures whose class is
        among the five most probable ones; missing for up to `TOP` classes). All are those of
        scikit-learn. NaN where nothing can be computed.
    """
    labels, shares = predicted
    of_classes = [(labels == place, shares[:, place]) for place in _known(labels)]
    bins = reliability(predicted)
    classes = shares.shape[1]
    top = np.nan
    if classes > TOP:
        top = float(top_k_accuracy_score(labels, shares, k=TOP, labels=np.arange(classes)))
    return {
        "auc": _mean([float(roc_auc_score(*each)) for each in of_classes]),
        "average_precision": _mean([float(average_precision_score(*each)) for each in of_classes]),
        "ece": float((bins["n"] / len(labels) * (bins["right"] - bins["confidence"]).abs()).sum()),
        "top_5": top,
    }


def reliability(predicted: Predicted) -> pd.DataFrame:
    """Compare how sure a model is with how often it is right.

    Returns:
        A row per bin of the probability of the predicted class that has pictures: ``confidence``
        (its mean), ``right`` (share of pictures that are right), ``n`` (pictures).
    """
    confidence = predicted.shares.max(axis=1).clip(0.0, 1.0)
    right = predicted.shares.argmax(axis=1) == predicted.labels
    share, mean = calibration_curve(right, confidence, n_bins=BINS)
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)  # as scikit-learn does
    counts = np.bincount(place, minlength=BINS)
    return pd.DataFrame({"confidence": mean, "right": share, "n": counts[counts > 0]})


def precision_and_recall(predicted: Predicted, place: int) -> tuple[Floats, Floats, float]:
    """Return precision, recall and average precision of one class against the rest."""
    is_class, share = predicted.labels == place, predicted.shares[:, place]
    precision, recall, _ = precision_recall_curve(is_class, share)
    return precision, recall, float(average_precision_score(is_class, share))


def _known(labels: npt.NDArray[np.int64]) -> list[int]:
    found = np.unique(labels)
    return [int(place) for place in found] if len(found) > 1 else []


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
