"""The notation for groups of pictures in a hyperparameter: ``age=child:4,gender=female:2``."""

import math
import re
from dataclasses import dataclass
from typing import Any

from fairsweep.errors import UserError


@dataclass(frozen=True)
class GroupFactor:
    """A factor for all pictures with ``value`` in ``column``."""

    column: str
    value: str
    factor: float

    def __str__(self) -> str:
        """Return the text that `group_factors` parses."""
        return f"{self.column}={self.value}:{self.factor:g}"


def group_factors(text: str) -> tuple[GroupFactor, ...]:
    """Parse groups and their factors.

    Raises:
        ValueError: ``text`` is not a list of groups.
    """
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^=]+?)\s*=\s*(.+?)\s*:\s*([^:]+)", part)
        if match is None:
            raise ValueError(f"{part!r} is not a group")
        found.append(GroupFactor(match[1], match[2], float(match[3])))
    return tuple(found)


def sorted_factors(value: Any, *, low: float, high: float, whole: bool = False) -> str:
    """Return a list of groups in sorted order, so that equal lists are equal texts.

    Args:
        value: A text in the notation of `group_factors`.
        low: Smallest allowed factor.
        high: Largest allowed factor.
        whole: Whether factors must be whole numbers.

    Raises:
        UserError: ``value`` is not a list of groups, a factor is out of bounds, or a group occurs
            twice. The caller puts the hyperparameter's name before the message.
    """
    number = f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
    rule = f"must be column=value:N, N being {number} (several joined by commas)"
    try:
        factors = group_factors(value)
    except (AttributeError, ValueError):
        raise UserError(f"{rule}, but got {value!r}; for example age=child:4") from None
    for group in factors:
        fits = math.isfinite(group.factor) and low <= group.factor <= high
        if not fits or (whole and group.factor != int(group.factor)):
            raise UserError(f"{rule}, but got {group}")
    if len({(group.column, group.value) for group in factors}) < len(factors):
        raise UserError(f"must name each group once, but got {value!r}")
    return ",".join(sorted(map(str, factors)))


def sorted_columns(value: Any) -> str:
    """Return one or more columns in sorted order, joined by commas.

    Raises:
        UserError: ``value`` names no column, or one twice. The caller puts the hyperparameter's
            name before the message.
    """
    columns = [column.strip() for column in value.split(",")] if isinstance(value, str) else []
    if not columns or not all(columns) or len(set(columns)) < len(columns):
        raise UserError(
            f"must be a column, or several joined by commas, but got {value!r}; for example age"
        )
    return ",".join(sorted(columns))
