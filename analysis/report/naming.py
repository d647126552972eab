"""Names the metric of a run in its tables, and leaves out columns that nothing is known of."""

import re
from dataclasses import replace

from analysis.rendering.table import Column, Table, View
from analysis.run.metric import Metric
from analysis.run.run_data import RunData

_KEYS = (
    *("accuracy", "accuracy_low", "accuracy_high", "best_accuracy", "last_accuracy"),
    *("accuracy_at_epoch", "accuracy_at_epoch_low", "accuracy_at_epoch_high"),
)
"""Columns of frames that hold the metric."""


def named(table: Table, run: RunData) -> Table:
    """Return ``table`` with the name of the run's metric instead of the accuracy.

    Columns that are empty because the run has no predictions, or because its metric is no share of
    pictures, are left out of the views.
    """
    keys = _named_keys(run.metric)
    frame = table.frame.rename(columns=keys)
    views = [
        View(
            title=_worded(view.title, run.metric),
            columns=tuple(_column(column, keys, run.metric) for column in view.columns),
        )
        for view in table.views
    ]
    if not (run.has_pictures and run.metric.is_accuracy):
        filled = (frame.notna() & (frame != "")).any()
        views = [
            replace(view, columns=tuple(c for c in view.columns if filled[c.key])) for view in views
        ]
    return replace(table, frame=frame, views=tuple(views))


def _named_keys(metric: Metric) -> dict[str, str]:
    return {key: key.replace("accuracy", metric.key) for key in _KEYS}


def _column(column: Column, keys: dict[str, str], metric: Metric) -> Column:
    return replace(
        column,
        key=keys.get(column.key, column.key),
        upper_key=keys.get(column.upper_key, column.upper_key),
        heading=_worded(column.heading, metric),
    )


def _worded(text: str, metric: Metric) -> str:
    return re.sub(r"\b[Aa]ccuracy\b", metric.word, text) if metric.key != "accuracy" else text
