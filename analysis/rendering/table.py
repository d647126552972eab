"""A table: full figures for machines, and one or more views of them for people."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

MISSING = "–"
AVERAGE = "average"
"""What stands in the place of a group in the row of the average."""


def number_text(value: Any) -> str:
    """Write a cell: whole numbers whole, fractions with the three digits that n supports."""
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
    """Writes one cell."""
    upper_key: str = ""
    """Where given, a cell reads from ``key`` to ``upper_key``."""

    def cells(self, frame: pd.DataFrame) -> list[str]:
        """Write the cells of this column."""
        cells = [self.text(value) for value in frame[self.key]]
        if not self.upper_key:
            return cells
        upper = [self.text(value) for value in frame[self.upper_key]]
        pairs = zip(cells, upper, strict=True)
        return [MISSING if low == MISSING else f"{low} to {high}" for low, high in pairs]


@dataclass(frozen=True, kw_only=True)
class View:
    """A choice of columns for people."""

    title: str
    columns: tuple[Column, ...]

    def shown(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame of texts under headings."""
        return pd.DataFrame({c.heading: c.cells(frame) for c in self.columns}, dtype=object)

    def is_number(self, frame: pd.DataFrame) -> list[bool]:
        """Tell for each column whether its cells are numbers, which stand to the right."""
        return [pd.api.types.is_numeric_dtype(frame[column.key]) for column in self.columns]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One analysis, ready to be written in any format."""

    name: str
    """Stem of its files."""
    frame: pd.DataFrame
    """All rows and columns with full precision; the analysis' docstring tells them."""
    views: tuple[View, ...]
    notes: tuple[str, ...]
    """Sentences that say how to read it: what n is, what was left out."""
