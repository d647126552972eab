"""The Pareto front of trials with several objectives."""

from collections.abc import Sequence

import numpy as np


def undominated(rows: Sequence[Sequence[float]]) -> list[int]:
    """Return the Pareto front: the rows than which none is as good everywhere and better somewhere.

    Args:
        rows: Scores of n trials, larger being better.
    """
    table = np.asarray(rows, dtype=float)
    return [
        index
        for index, row in enumerate(table)
        if not ((table >= row).all(axis=1) & (table > row).any(axis=1)).any()
    ]
