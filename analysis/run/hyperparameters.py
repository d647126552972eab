"""Hyperparameters for tables and figures: the searched ones, their levels and display names."""

import difflib
from typing import Any

import pandas as pd

from analysis.run.column_names import TAKEN, column_name
from analysis.run.run_data import RunData
from fairsweep.errors import UserError

MOST_LEVELS = 8
"""A numeric hyperparameter with more distinct values than this counts as continuous."""
BINS = 4
"""Number of quantile bins for a continuous hyperparameter in a table."""
NOT_USED = "–"
"""Level of trials in a part of the space that does not have the hyperparameter."""


def checked(run: RunData, name: str) -> str:
    """Return ``name`` if it is a hyperparameter of this run, or the column that it has instead.

    Raises:
        UserError: It is not; the message names the most similar one.
    """
    names = run.info.hyperparameters
    for own in (name, column_name(name, TAKEN)):
        if own in names:
            return own
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}"
    raise UserError(f"--by must be a hyperparameter of {run.name}, but got {name!r}; {hint}")


def searched(run: RunData) -> list[str]:
    """Return the searched, untied hyperparameters with at least two values."""
    return [
        name
        for name in run.info.searched
        if name not in run.info.tied and run.trials[name].nunique() > 1
    ]


def followers(run: RunData, name: str) -> list[str]:
    """Return the hyperparameters that are tied to ``name``."""
    return [tied for tied, leader in run.info.tied.items() if leader == name]


def words(name: str) -> str:
    """Return the name of a hyperparameter in words."""
    return {
        "fc_layers": "FC layers",
        "fc_width": "FC width",
        "conv_depth": "convolution depth",
    }.get(name, name.replace("_", " "))


def is_continuous(values: "pd.Series[Any]") -> bool:
    """Return whether ``values`` are numbers with more than `MOST_LEVELS` levels."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return bool(numeric and values.nunique() > MOST_LEVELS)


def is_wide(values: "pd.Series[Any]") -> bool:
    """Return whether positive ``values`` have a range that needs a logarithmic scale."""
    return bool(values.min() > 0 and values.max() / values.min() >= 50)


def level_text(value: Any) -> str:
    """Format a value of a hyperparameter."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return NOT_USED
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def levels(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Assign trials to the levels of a hyperparameter, or to bins if it is continuous.

    Returns:
        An ordered categorical of level texts with the index of ``values``.
    """
    if is_continuous(values):
        numbers = values.astype(float)
        bins = pd.qcut(numbers, BINS, duplicates="drop", precision=12)
        spans = numbers.groupby(bins, observed=True).agg(["min", "max"])
        names = {key: f"{low:.3g} to {high:.3g}" for key, low, high in spans.itertuples()}
        texts, order = bins.map(names), list(names.values())
    else:
        order = [level_text(value) for value in sorted(values.dropna().unique())]
        texts = values.map(level_text)
    full = texts.astype(object).where(values.notna(), NOT_USED)
    if values.isna().any():
        order = [*order, NOT_USED]
    return pd.Series(pd.Categorical(full, order, ordered=True), index=values.index)
