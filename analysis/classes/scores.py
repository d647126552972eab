"""Precision, recall and F1 of each class, from a confusion matrix."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.clusters import Clusters, design_effect
from analysis.statistics.intervals import wilson_interval


def per_class(
    confusion: npt.NDArray[np.int64], classes: Sequence[str], effects: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Compute the scores of one trained model on each class.

    Args:
        confusion: (classes, classes) pictures by true class (rows) and predicted class (columns).
        classes: Names in the order of the rows.
        effects: The result of `class_effects`; None if all pictures are independent.

    Returns:
        A row per class in this order: ``class``, ``precision`` and ``recall``, each with its 95 %
        Wilson interval (``_low``, ``_high``), ``f1`` (their harmonic mean), ``n`` (pictures of the
        class), ``predicted`` (pictures predicted to be of the class). Recall and F1 are missing
        for a class without pictures, and an interval is missing if its n is 0. The precision
        of a class that was never predicted is 0, as in scikit-learn, or missing if the class has
        no pictures either.
    """
    right = pd.Series(np.diag(confusion).astype(float))
    truth, predicted = pd.Series(confusion.sum(axis=1)), pd.Series(confusion.sum(axis=0))
    columns: dict[str, object] = {"class": list(classes)}
    for name, total in (("precision", predicted), ("recall", truth)):
        share = (right / total.where(total > 0)).mask((total == 0) & (truth > 0), 0.0)
        n = total.where(total > 0).astype("Int64")
        interval = wilson_interval(share, n if effects is None else n / effects[name])
        columns |= {name: share}
        columns |= {f"{name}_{end}": interval[f"accuracy_{end}"] for end in ("low", "high")}
    columns["f1"] = 2 * right / (truth + predicted).where(truth > 0)
    return pd.DataFrame({**columns, "n": truth, "predicted": predicted})


def class_effects(answers: pd.DataFrame, clusters: Clusters, classes: int) -> pd.DataFrame:
    """Compute the factor by which clusters raise the variance of each score of a class.

    Args:
        answers: A row per picture: ``label`` and ``predicted``.
        clusters: Clusters of the pictures.
        classes: Number of classes.

    Returns:
        A row per class: the design effects of its ``precision`` and ``recall``.
    """
    right = (answers["label"] == answers["predicted"]).to_numpy()
    columns = {}
    for score, column in (("precision", "predicted"), ("recall", "label")):
        chosen = [(answers[column] == place).to_numpy() for place in range(classes)]
        columns[score] = [
            design_effect([(right[of], clusters.part(of))]) if of.any() else 1.0 for of in chosen
        ]
    return pd.DataFrame(columns)
