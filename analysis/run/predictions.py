"""Which pictures trials told right: what paired statistics stand on."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.run.run_data import RunData, read_probabilities

TOLERANCE = 1.5
"""Pictures by which an accuracy may miss the predictions and still be theirs."""


def read_correct(
    run: RunData, accuracy: "pd.Series[float]", split: str = "val", *, any_epoch: bool = False
) -> pd.DataFrame | None:
    """Read which pictures trials told right.

    Args:
        run: The run.
        accuracy: Trial id → the accuracy that the predictions must have. They are those of a
            trial's best epoch and of no use for another one.
        split: The split of the pictures.
        any_epoch: Whether predictions of another epoch will do.

    Returns:
        A row per trial in the order of ``accuracy``, a column per picture. None where predictions
        of a trial are missing, those of another epoch, or of other pictures.
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
    """Return by picture id, in its order, whether a trial told it right; None as above."""
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
