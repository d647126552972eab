"""Validation pictures that all models get wrong, and labels that may be wrong.

Confident learning, the rule of its confident joint: Northcutt, Jiang and Chuang 2021, "Confident
learning: estimating uncertainty in dataset labels", Journal of Artificial Intelligence Research 70,
section 3.1.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.run.run_data import RunData, read_shares
from analysis.run.trials import ranked
from analysis.statistics.estimate import NotKnownError
from tune.run.trial import Status

MOST_MODELS = 10
"""Maximum number of completed models that judge the labels, the best ones."""


class Judged(NamedTuple):
    """What several models predict of the same pictures."""

    pictures: pd.DataFrame
    """A row per picture: ``image_id``, ``label``, ``suggested`` (the class that the mean
    probabilities suggest instead, or the label), ``probability`` (of ``suggested``), ``own``
    (that of the label), ``wrong`` (number of models that are wrong), ``suspected`` (whether
    confident learning doubts the label)."""
    models: int


@lru_cache(maxsize=4)  # a table and a figure ask
def judged(run: RunData) -> Judged:
    """Judge the labels of validation pictures by the mean probabilities of the best models.

    The models did not train on these pictures.

    Raises:
        NotKnownError: No completed trial has the probabilities of all classes, or the trials were
            judged on different pictures.
    """
    trials = ranked(run)
    completed = trials[trials["status"] == Status.COMPLETED]["trial_id"]
    found = [read_shares(run, str(trial_id)) for trial_id in completed.head(MOST_MODELS)]
    # A trial may list its pictures in another order than the others.
    known = [(np.argsort(each[0]), *each) for each in found if each is not None]
    if not known:
        raise NotKnownError(f"no completed trial of {run.name} has predictions on pictures")
    order, ids, labels, _ = known[0]
    names, truth = np.array(ids)[order], labels[order]
    if any(not np.array_equal(np.array(other)[place], names) for place, other, _, _ in known):
        raise NotKnownError("the trials were judged on different pictures")
    shares = np.stack([own[place] for place, _, _, own in known])
    mean = shares.mean(axis=0)
    suggested, suspected = confident(truth, mean)
    rows = np.arange(len(truth))
    frame = pd.DataFrame(
        {
            "image_id": names,
            "label": truth,
            "suggested": suggested,
            "probability": mean[rows, suggested],
            "own": mean[rows, truth],
            "wrong": (shares.argmax(axis=2) != truth).sum(axis=0),
            "suspected": suspected,
        }
    )
    return Judged(frame, len(known))


def confident(
    labels: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Find labels that differ from the class that a model is confident of.

    A model is confident of a class if its probability reaches the mean probability of this class
    among the pictures that are labelled as it; of several, the most probable one counts.

    Args:
        labels: (n,) given classes.
        shares: (n, classes) probabilities from models that did not train on the pictures.

    Returns:
        (n,) the suggested class, that is the one that the model is confident of, or the label; and
        (n,) whether it differs from the label.
    """
    classes = shares.shape[1]
    usual = np.array(
        [shares[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(classes)]
    )
    sure = np.where(shares >= usual, shares, -np.inf)
    confident_of = np.where(np.isfinite(sure).any(axis=1), sure.argmax(axis=1), labels)
    return confident_of, confident_of != labels
