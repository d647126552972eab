"""Counts which classes a trained model confuses."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.statistics.clusters import Clusters, design_effect
from analysis.statistics.intervals import wilson_interval


def confusions(
    answers: pd.DataFrame, classes: Sequence[str], clusters: Clusters, most: int
) -> pd.DataFrame:
    """List the most frequent kinds of mistakes of a trained model.

    Args:
        answers: A row per picture: ``label`` and ``predicted`` (places in ``classes``).
        classes: Names of the classes.
        clusters: Clusters of the pictures.
        most: Maximum number of rows.

    Returns:
        A row per pair of different classes that occurs, the most frequent first, ties in the order
        of the classes: ``true`` and ``predicted`` (names), ``pictures``, ``n`` (pictures of the
        true class) and ``share`` (of n) with its 95 % Wilson interval, ``share_low`` and
        ``share_high``.
    """
    sizes = answers["label"].value_counts()
    wrong = answers[answers["label"] != answers["predicted"]]
    pictures = wrong.groupby(["label", "predicted"]).size()
    pictures = pictures.sort_values(ascending=False, kind="stable").head(most)
    pairs = pictures.rename("pictures").reset_index()
    n = pairs["label"].map(sizes).astype("int64")
    share = pairs["pictures"] / n
    effects = [_effect(answers, clusters, *pair) for pair in pictures.index]
    interval = wilson_interval(share, n / pd.Series(effects, index=n.index, dtype=float))
    names = np.array(classes, dtype=object)
    return pd.DataFrame(
        {
            "true": names[pairs["label"].to_numpy(int)],
            "predicted": names[pairs["predicted"].to_numpy(int)],
            "pictures": pairs["pictures"],
            "n": n,
            "share": share,
            "share_low": interval["accuracy_low"],
            "share_high": interval["accuracy_high"],
        }
    )


def _effect(answers: pd.DataFrame, clusters: Clusters, label: int, predicted: int) -> float:
    """Return the design effect of the share of a class that is predicted as another."""
    of_class = (answers["label"] == label).to_numpy()
    taken = (answers["predicted"] == predicted).to_numpy()[of_class]
    return design_effect([(taken, clusters.part(of_class))])
