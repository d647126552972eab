"""Turns points of a space into vectors, so that distances between configurations mean something."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tune.sweep.searchers.unit import share_of, value_at
from tune.sweep.space import Choice, Domain, Point, Range, Scalar, SearchSpace

_APART = math.sqrt(0.5)
"""Coordinate of a chosen value without order, so that two values are at distance 1."""


class Features:
    """The coordinates of a point: one for numbers, one a value for values without order.

    A hyperparameter that a point lacks is in the middle, as in SMAC (Hutter et al. 2011).
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._domains: dict[str, Domain] = {}
        for point in space.samples_of_each():
            self._domains |= space.domains(point)
        self.size = sum(map(_width, self._domains.values()))

    def matrix(self, points: Sequence[Point]) -> npt.NDArray[np.float64]:
        """Return the coordinates of points, (points, ``size``)."""
        rows = [self._vector(point) for point in points]
        return np.array(rows, dtype=float).reshape(len(points), self.size)

    def _vector(self, point: Point) -> list[float]:
        vector: list[float] = []
        for path, domain in self._domains.items():
            vector += _coordinates(domain, point.get(path))
        return vector

    def near(self, point: Point, rng: np.random.Generator, *, width: float) -> Point:
        """Draw a point near another: about half of its choices change.

        Args:
            point: The other point.
            rng: Draws.
            width: Standard deviation of a number's change, as a share of its range.
        """

        def choose(path: str, domain: Domain) -> Scalar:
            if path not in point or (isinstance(domain, Choice) and rng.random() < _REDRAWN):
                return value_at(domain, rng.random())
            if isinstance(domain, Choice) or rng.random() < 0.5:
                return point[path]
            share = share_of(domain, float(point[path])) + rng.normal(0, width)
            return value_at(domain, min(max(share, 0.0), 1.0))

        return self._space.point(choose)


_REDRAWN = 0.2


def _ordered(domain: Choice) -> list[float] | None:
    numbers = [v for v in domain.values if isinstance(v, int | float) and not isinstance(v, bool)]
    return sorted(numbers) if len(numbers) == len(domain.values) else None


def _width(domain: Domain) -> int:
    return 1 if isinstance(domain, Range) or _ordered(domain) else len(domain.values)


def _coordinates(domain: Domain, value: Scalar | None) -> list[float]:
    if isinstance(domain, Range):
        return [0.5 if value is None else share_of(domain, float(value))]
    if (numbers := _ordered(domain)) is not None:
        place = (len(numbers) - 1) / 2 if value is None else numbers.index(float(value))
        return [(place + 0.5) / len(numbers)]
    return [_APART * (known == value) for known in domain.values]
