"""Which averages over classes a table of trials shows."""

import numpy as np
import pandas as pd

from analysis.rendering.words import SCORES

AVERAGES = ("macro", "micro")
REPEATED = (
    "The micro averages of recall, precision and F1 all equal the accuracy, because every picture "
    "has one class."
)


def shown_averages(frame: pd.DataFrame) -> list[str]:
    """Return the averages that ``frame`` has and that do not repeat its ``accuracy``.

    Args:
        frame: A row per trial: ``accuracy``, and ``macro_*`` and ``micro_*`` scores where they are
            known.
    """
    known = [average for average in AVERAGES if f"{average}_f1" in frame]
    return [average for average in known if not _repeats(frame, average)]


def repeated_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return a note if the micro averages are known and left out."""
    left_out = "micro_f1" in frame and "micro" not in shown_averages(frame)
    return (REPEATED,) if left_out else ()


def _repeats(frame: pd.DataFrame, average: str) -> bool:
    scores = frame[[f"{average}_{score}" for score in SCORES if f"{average}_{score}" in frame]]
    accuracy = frame["accuracy"].to_numpy(float)[:, None]
    return bool(np.allclose(scores.to_numpy(float), accuracy, atol=1e-6, equal_nan=True))
