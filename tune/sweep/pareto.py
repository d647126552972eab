"""The Pareto front of trials with several objectives."""

from collections.abc import Sequence

import numpy as np


def undominated(rows: Sequence[Sequence[float]]) -> list[int]:
    """Return the indices of the Pareto front.

    A row is on it if no other row is at least as good in every score and better in one.

    Args:
        rows: Scores of n trials; larger is better.
    """
    table = np.asarray(rows, dtype=float)
    return [
        index
        for index, row in enumerate(table)
        if not ((table >= row).all(axis=1) & (table > row).any(axis=1)).any()
    ]
