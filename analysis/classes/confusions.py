"""Which classes a trained model takes for which others, from its confusion matrix."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.intervals import wilson_interval


def confusions(confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> pd.DataFrame:
    """List the kinds of mistakes that a trained model makes, the most frequent first.

    Args:
        confusion: (classes, classes) pictures by true class (rows) and predicted class (columns).
        classes: Names in the order of the rows.

    Returns:
        A row per pair of different classes that occurs: ``true`` and ``predicted`` (names),
        ``pictures``, ``n`` (pictures of the true class) and ``share`` (of n) with its 95 % Wilson
        interval, ``share_low`` and ``share_high``. Ties are in the order of the classes.
    """
    wrong = np.where(np.eye(len(confusion), dtype=bool), 0, confusion)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    pictures = pd.Series(wrong[rows, columns])
    n = pd.Series(confusion.sum(axis=1)[rows])
    share = pictures / n
    interval = wilson_interval(share, n)
    names = np.array(classes, dtype=object)
    return pd.DataFrame(
        {
            "true": names[rows],
            "predicted": names[columns],
            "pictures": pictures,
            "n": n,
            "share": share,
            "share_low": interval["accuracy_low"],
            "share_high": interval["accuracy_high"],
        }
    )
