"""Rows that are left out of a dataset: reported as an error, or listed in ``rejected.csv``."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from fairsweep.errors import UserError


class BadInputError(UserError):
    """The user's files break a rule; the message names file, row and fix in one line."""


@dataclass(frozen=True)
class Rejection:
    """One row left out."""

    image_id: str
    """Id of the picture, even if it was not kept; empty if the row has none."""
    file: str
    """File, or ``archive:member``, with the fault."""
    row: int | None
    """Row of the file, counted from 0 below the header; None for the whole file."""
    reason: str


class Rejections:
    """Collects rows that are left out; a bad row is an error unless bad rows are skipped."""

    def __init__(self, *, skip_bad: bool = False, may_skip: bool = True) -> None:
        self._skip_bad = skip_bad
        self._may_skip = may_skip
        self._rows: list[Rejection] = []

    def refuse(
        self, reason: str, *, file: str, row: int | None = None, image_id: str = "", way_out: str
    ) -> None:
        """Record a bad row.

        Raises:
            BadInputError: Bad rows are not skipped.
        """
        if not self._skip_bad:
            place = file if row is None else f"{file}, row {row} (line {row + 2})"
            skip = ", or leave it out with --skip-bad" if self._may_skip else ""
            raise BadInputError(f"{place}: {reason}; {way_out}{skip}")
        self._rows.append(Rejection(image_id, file, row, reason))

    def leave_out(self, rejections: Iterable[Rejection]) -> None:
        """Record valid rows that a cleaning step removes."""
        self._rows.extend(rejections)

    @property
    def rows(self) -> tuple[Rejection, ...]:
        """All rows left out so far."""
        return tuple(self._rows)

    def write(self, path: Path) -> None:
        """Write all collected rows as CSV."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(field.name for field in fields(Rejection))
            writer.writerows(map(astuple, self._rows))
