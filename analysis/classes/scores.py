"""Precision, recall and F1 of each class, from a confusion matrix."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.intervals import wilson_interval


def per_class(confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> pd.DataFrame:
    """Compute the scores of one trained model on each class; 0 if nothing was predicted.

    Args:
        confusion: (classes, classes) pictures by true class (rows) and predicted class (columns).
        classes: Names in the order of the rows.

    Returns:
        A row per class in this order: ``class``, ``precision`` and ``recall``, each with its 95 %
        Wilson interval (``_low``, ``_high``; missing without pictures), ``f1`` (their harmonic
        mean), ``n`` (pictures of the class), ``predicted`` (pictures predicted to be of the class).
    """
    right = pd.Series(np.diag(confusion).astype(float))
    truth, predicted = pd.Series(confusion.sum(axis=1)), pd.Series(confusion.sum(axis=0))
    columns: dict[str, object] = {"class": list(classes)}
    for name, total in (("precision", predicted), ("recall", truth)):
        share = (right / total.where(total > 0)).fillna(0.0)
        interval = wilson_interval(share, total.where(total > 0).astype("Int64"))
        columns |= {name: share}
        columns |= {f"{name}_{end}": interval[f"accuracy_{end}"] for end in ("low", "high")}
    both = truth + predicted
    columns["f1"] = (2 * right / both.where(both > 0)).fillna(0.0)
    return pd.DataFrame({**columns, "n": truth, "predicted": predicted})
