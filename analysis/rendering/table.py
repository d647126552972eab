"""A table: a data frame with full precision, and one or more views of it for readers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

MISSING = "–"
AVERAGE = "average"
"""Group name in the row that holds the average of all groups."""


def number_text(value: Any) -> str:
    """Format a cell: floats with three decimal places, everything else as it is."""
    if pd.isna(value):
        return MISSING
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a view."""

    key: str
    """Column of the frame."""
    heading: str
    text: Callable[[Any], str] = number_text
    """Formats one cell."""
    upper_key: str = ""
    """If given, each cell is a range from column ``key`` to this column."""

    def cells(self, frame: pd.DataFrame) -> list[str]:
        """Return the formatted cells of this column."""
        cells = [self.text(value) for value in frame[self.key]]
        if not self.upper_key:
            return cells
        upper = [self.text(value) for value in frame[self.upper_key]]
        pairs = zip(cells, upper, strict=True)
        return [MISSING if low == MISSING else f"{low} to {high}" for low, high in pairs]


@dataclass(frozen=True, kw_only=True)
class View:
    """A selection of columns for readers."""

    title: str
    columns: tuple[Column, ...]

    def shown(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the formatted cells of all columns, under their headings.

        Two columns can have one heading: a hyperparameter can be called ``n`` or ``status``.
        """
        cells = {place: column.cells(frame) for place, column in enumerate(self.columns)}
        headings = [column.heading for column in self.columns]
        return pd.DataFrame(cells, dtype=object).set_axis(headings, axis=1)

    def is_number(self, frame: pd.DataFrame) -> list[bool]:
        """Return for each column whether it holds numbers, which are aligned to the right."""
        return [pd.api.types.is_numeric_dtype(frame[column.key]) for column in self.columns]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """The result of one analysis, which can be written in any format."""

    name: str
    """File name without suffix."""
    frame: pd.DataFrame
    """All rows and columns with full precision; described in the docstring of its function."""
    views: tuple[View, ...]
    notes: tuple[str, ...]
    """How to read the table: what n counts, what was left out."""
