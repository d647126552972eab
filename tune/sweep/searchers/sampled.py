"""Random search, and what other searchers share with it that propose a number of samples."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from fairsweep.errors import UserError
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.searchers.unit import value_at
from tune.sweep.space import Point, SearchSpace


class SampledSearcher:
    """Proposes at most ``samples`` points, none of them twice; itself draws them at random.

    Each value of a choice and each length of a range is as likely as another.
    """

    tries = 20
    """Draws of a proposal before a point is taken at random from those not proposed yet."""

    def __init__(self, space: SearchSpace, *, samples: int, seed: int) -> None:
        self.size = samples
        self._space = space
        self._seed = seed
        self._seen: set[str] = set()

    def draw(self, number: int, attempt: int) -> Point:
        """Return a point for proposal ``number``; the same whenever the same was heard."""
        return self._random_point(np.random.default_rng([self._seed, number, attempt]))

    def _random_point(self, rng: np.random.Generator) -> Point:
        return self._space.point(lambda _path, domain: value_at(domain, rng.random()))

    def propose(self, number: int) -> Point | None:
        """Return a point that was not proposed before, or None if there is none."""
        if number >= self.size:
            return None
        for attempt in range(self.tries):
            point = self.draw(number, attempt)
            if key_of(point) not in self._seen:
                return point
        return self._unseen(number)

    def _unseen(self, number: int) -> Point | None:
        rng = np.random.default_rng([self._seed, number])
        for _ in range(_RANDOM_TRIES):
            point = self._random_point(rng)
            if key_of(point) not in self._seen:
                return point
        # So many in vain: nearly all of the space is used up, and it is no larger than the sweep.
        try:
            left = [point for point in self._space.grid() if key_of(point) not in self._seen]
        except UserError:
            return None
        return left[rng.integers(len(left))] if left else None

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Learn nothing: what is drawn at random does not depend on results."""

    def hear_proposed(self, _trial_id: str, point: Point) -> None:
        """Never propose the point again."""
        self._seen.add(key_of(point))

    def hear_skipped(self, point: Point) -> None:
        """Never propose the point again."""
        self._seen.add(key_of(point))

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], values: Sequence[float] | None
    ) -> None:
        """Learn nothing: what is drawn at random does not depend on results."""


_RANDOM_TRIES = 100


def seed_of(*parts: int) -> int:
    """Mix whole numbers into a seed of 32 bits."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def key_of(point: Mapping[str, object]) -> str:
    """Return a point as a key by which equal points are found."""
    return repr(sorted(point.items()))
