"""Reads and checks what the user's own training code yields."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fairsweep.errors import UserError
from fairsweep.training import Epoch, Predictions
from tune.run.tables import predictions_table
from tune.run.trial import is_metric_name

_SUM_TOLERANCE = 0.01
"""Probabilities in half precision sum to 1 within this."""


def read_epoch(given: Any) -> Epoch:
    """Return what own training code yields as an `Epoch`.

    Raises:
        UserError: It is not metrics, metrics and a state, or an `Epoch`.
    """
    match given:
        case Epoch():
            return given
        case Mapping():
            return Epoch(metrics=given)
        case (Mapping() as metrics, state):
            return Epoch(metrics=metrics, state=state)
    raise UserError(
        "must yield its metrics as a dict, a pair of metrics and state, or a fairsweep Epoch, "
        f"but yielded {_short(given)}"
    )


def read_metrics(metrics: Mapping[str, Any], needed: Iterable[str]) -> dict[str, float]:
    """Return the metrics of an epoch as numbers.

    Raises:
        UserError: A name or a value cannot be kept, or a ``needed`` metric is missing.
    """
    for name in metrics:
        if not isinstance(name, str) or not is_metric_name(name):
            raise UserError(
                "must yield metrics whose names are letters, digits and underscores, and not "
                f"names of other columns such as epoch or seconds, but yielded {name!r}"
            )
    for name in needed:
        if name not in metrics:
            raise UserError(
                f"did not yield {name}, which the objective names; it yielded "
                f"{', '.join(metrics) or 'no metric'}"
            )
    return {name: _number(name, value) for name, value in metrics.items()}


def read_predictions_of(predictions: Predictions, epoch: int, classes: Sequence[str]) -> pa.Table:
    """Return predictions as the table of `predictions_table`.

    Args:
        predictions: What the code yielded.
        epoch: Its epoch.
        classes: Class names of the dataset; empty without one: classes are then numbered.

    Raises:
        UserError: Shapes do not fit each other or the classes, or rows are not probabilities.
    """
    probabilities = np.asarray(predictions.probabilities, dtype=np.float32)
    labels = np.asarray(predictions.labels, dtype=np.int64)
    count, width = len(predictions.image_ids), len(classes) or probabilities.shape[-1]
    if probabilities.shape != (count, width) or labels.shape != (count,):
        raise UserError(
            f"must yield predictions of one shape, but yielded {count} image_ids, labels of shape "
            f"{labels.shape} and probabilities of shape {probabilities.shape} for {width} classes"
        )
    wrong = np.flatnonzero(~(abs(probabilities.sum(axis=1) - 1) < _SUM_TOLERANCE))
    if len(wrong) or (count and probabilities.min() < 0):
        row = wrong[0] if len(wrong) else int(probabilities.min(axis=1).argmin())
        raise UserError(
            f"must yield probabilities, but row {row} is {probabilities[row].tolist()}; apply a "
            "softmax first"
        )
    return predictions_table(
        image_ids=list(map(str, predictions.image_ids)),
        labels=labels,
        probabilities=probabilities,
        split="val",
        epoch=epoch,
        classes=classes or [str(number) for number in range(width)],
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(
            f"must yield numbers as metrics, but {name} is {_short(value)}; yield its value"
        ) from None


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
