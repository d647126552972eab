"""Configurations that the user wants to be tried before the searcher's own, `first:` in a spec."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairsweep.errors import UserError
from tune.sweep.space import Domain, Point, Scalar, SearchSpace

BEFORE_SEARCH = -1
"""Number of the proposal of such a configuration; those of the searcher count from 0."""


def first_points(space: SearchSpace, first: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    """Yield the point of each configuration.

    Raises:
        UserError: A configuration names an unknown hyperparameter, lacks one that is searched, or
            has a value that is not in the space.
    """
    for number, values in enumerate(first, start=1):
        yield _point(space, values, f"first, configuration {number}")


def _point(space: SearchSpace, values: Mapping[str, Any], where: str) -> Point:
    unknown = [name for name in values if name not in space.names()]
    if unknown:
        near = difflib.get_close_matches(unknown[0], space.names(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(space.names())}"
        raise UserError(f"{where}: {unknown[0]} is not searched under space; {hint}")

    def find(path: str, domain: Domain) -> Scalar:
        name = path.rpartition(".")[2]
        if name not in values:
            raise UserError(f"{where} lacks {name}; give a value to each searched hyperparameter")
        value: Scalar = values[name]
        if not domain.holds(value):
            raise UserError(
                f"{where}: {name} {value!r} is not in the space; change it, or add it to "
                f"space.{path}"
            )
        return value

    point = space.point(find)
    chosen = space.at(point)
    for name, value in values.items():
        if name not in chosen:
            raise UserError(f"{where}: {name} does not belong to this part of the space")
        if chosen[name] != value:
            raise UserError(
                f"{where}: {name} is {chosen[name]!r} here, as it follows another hyperparameter, "
                f"but got {value!r}; leave it out"
            )
    return point
