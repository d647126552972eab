"""How a hyperparameter names groups of pictures: ``age=child:4``, ``age=child:4,gender=female:2``.

Standard library only, as is all that `TrainConfig` stands on.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from fairsweep.errors import UserError


@dataclass(frozen=True)
class GroupFactor:
    """A number for all pictures that have ``value`` in ``column``."""

    column: str
    value: str
    factor: float

    def __str__(self) -> str:
        """Write it as `group_factors` reads it."""
        return f"{self.column}={self.value}:{self.factor:g}"


@dataclass(frozen=True)
class Factors:
    """Groups with a number each, from ``low`` to ``high``."""

    low: float
    high: float
    whole: bool = False

    def check(self, name: str, value: Any) -> str:
        """Return the groups in order, so that one choice is written in one way.

        Raises:
            UserError: The text is no list of groups, a number is out of bounds, or a group stands
                twice.
        """
        number = f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"
        what = f"{name} must be column=value:N, N being {number} (several joined by commas)"
        try:
            factors = group_factors(value)
        except (AttributeError, ValueError):
            raise UserError(f"{what}, but got {value!r}; for example age=child:4") from None
        for one in factors:
            fits = math.isfinite(one.factor) and self.low <= one.factor <= self.high
            if not fits or (self.whole and one.factor != int(one.factor)):
                raise UserError(f"{what}, but got {one}")
        if len({(one.column, one.value) for one in factors}) < len(factors):
            raise UserError(f"{name} must name each group once, but got {value!r}")
        return ",".join(sorted(map(str, factors)))


@dataclass(frozen=True)
class Columns:
    """One or more columns, joined by commas."""

    def check(self, name: str, value: Any) -> str:
        """Return the columns in order. Raises ValueError."""
        columns = [one.strip() for one in value.split(",")] if isinstance(value, str) else []
        if not columns or not all(columns) or len(set(columns)) < len(columns):
            raise UserError(
                f"{name} must be a column, or several joined by commas, but got {value!r}; "
                "for example age"
            )
        return ",".join(sorted(columns))


@dataclass(frozen=True)
class Digest:
    """The hash of a file's content, as `models.rules.content_hash` gives it."""

    def check(self, name: str, value: Any) -> str:
        """Return the hash. Raises ValueError."""
        if not isinstance(value, str) or re.fullmatch("[0-9a-f]{16}", value) is None:
            raise UserError(
                f"{name} must be the hash of a file, which `python -m tune retrain` writes, but "
                f"got {value!r}"
            )
        return value


def group_factors(text: str) -> tuple[GroupFactor, ...]:
    """Read groups and their numbers.

    Raises:
        UserError: ``text`` does not name any.
    """
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^=]+?)\s*=\s*(.+?)\s*:\s*([^:]+)", part)
        if match is None:
            raise ValueError(f"{part!r} is no group")
        found.append(GroupFactor(match[1], match[2], float(match[3])))
    return tuple(found)
