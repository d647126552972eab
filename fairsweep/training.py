"""What the user's own training code yields after each epoch, if it yields more than metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Class probabilities of n validation pictures, the same pictures in each epoch."""

    image_ids: Sequence[str]
    """n ids, such as `ImageDataset.image_ids` of the validation rows."""
    labels: Sequence[int]
    """n indices of the true classes."""
    probabilities: Any
    """(n, classes) array; each row sums to 1."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of own training code."""

    metrics: Mapping[str, Any]
    """Metrics by name, such as ``val_accuracy``; numbers, or tensors of one number."""
    state: Any = None
    """Everything that the training needs to continue after this epoch: any value that can be
    pickled. It is passed as ``state`` after a restart. None: it then starts again."""
    predictions: Predictions | None = None
    """Predictions on the validation pictures; those of the best epoch are kept."""
