"""Reads which pictures trials classified correctly, for paired statistics."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.run.run_data import RunData, read_probabilities

TOLERANCE = 1.5
"""Maximum difference between an accuracy and its predictions, in pictures."""


def read_correct(
    run: RunData, accuracy: "pd.Series[float]", split: str = "val", *, any_epoch: bool = False
) -> pd.DataFrame | None:
    """Read which pictures trials classified correctly.

    Args:
        run: The run.
        accuracy: Trial id → the accuracy that the predictions must have. Predictions are saved for
            a trial's best epoch only, so those of another epoch are detected by their accuracy.
        split: The split of the pictures.
        any_epoch: Whether to accept predictions of another epoch.

    Returns:
        A row per trial in the order of ``accuracy``, a column per picture. None if the predictions
        of a trial are missing, or are for another epoch or other pictures.
    """
    rows: list[pd.Series[bool]] = []
    for trial_id, expected in accuracy.items():
        right = read_right(run, str(trial_id), split)
        if right is None:
            return None
        same = not rows or right.index.equals(rows[0].index)
        missed = abs(right.sum() - expected * len(right)) > TOLERANCE
        if not same or (missed and not any_epoch):
            return None
        rows.append(right.rename(str(trial_id)))
    return _stacked(rows)


def read_right(run: RunData, trial_id: str, split: str = "val") -> "pd.Series[bool] | None":
    """Return picture id → whether a trial classified it correctly; None without predictions."""
    answers = read_probabilities(run, trial_id, split)
    if answers is None:
        return None
    right = answers["label"] == answers["predicted"]
    return right.set_axis(pd.Index(answers["image_id"])).sort_index()


def _stacked(rows: Iterable["pd.Series[bool]"]) -> pd.DataFrame | None:
    kept = list(rows)
    if not kept:
        return None
    return pd.DataFrame(
        np.stack([row.to_numpy() for row in kept]),
        index=pd.Index([row.name for row in kept], name="trial_id"),
        columns=kept[0].index,
    )
