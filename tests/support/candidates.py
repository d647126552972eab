"""Models with given probabilities, from which ensembles are chosen."""

import numpy as np

from tune.run.ensemble import Candidates


def candidates(probabilities, labels):
    models, n, _ = probabilities.shape
    return Candidates(
        trial_ids=tuple(f"m{row}" for row in range(models)),
        image_ids=tuple(f"p{row:05d}" for row in range(n)),
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        missing=0,
    )


def of_two_classes(margins):
    """Models whose probability of class 0, the true one of all pictures, is 1/2 + margin."""
    first = 0.5 + np.asarray(margins, np.float64)
    return candidates(np.stack([first, 1 - first], axis=2), np.zeros(first.shape[1], np.int64))
