"""Classification metrics from a confusion matrix."""

import numpy as np
import numpy.typing as npt


def confusion_matrix(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """Count pictures by true class (rows) and predicted class (columns).

    Args:
        labels: (n,) true class indices.
        predicted: (n,) predicted class indices.
        classes: Number of classes.

    Returns:
        (classes, classes) counts.
    """
    cells = np.bincount(labels * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes)


def classification_metrics(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy and macro and micro precision, recall and F1.

    Macro: the mean over the classes that occur as a label or a prediction; a quotient with a
    denominator of 0 counts as 0. Micro: over all pictures; since each has one label, all three
    equal the accuracy. Same as scikit-learn's ``precision_recall_fscore_support(zero_division=0)``.

    Args:
        confusion: (classes, classes) counts, true classes in rows.
    """
    hits = np.diag(confusion).astype(float)
    predicted, actual = confusion.sum(axis=0), confusion.sum(axis=1)
    present = predicted + actual > 0
    accuracy = hits.sum() / max(confusion.sum(), 1)

    def macro(numerator: npt.NDArray[np.float64], denominator: npt.NDArray[np.int64]) -> float:
        return float((numerator / np.maximum(denominator, 1))[present].mean())

    return {
        "accuracy": float(accuracy),
        "macro_precision": macro(hits, predicted),
        "macro_recall": macro(hits, actual),
        "macro_f1": macro(2 * hits, predicted + actual),
        **{f"micro_{name}": float(accuracy) for name in ("precision", "recall", "f1")},
    }
