"""Random search, which is also the base of other searchers with a number of samples."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from fairsweep.errors import UserError
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.searchers.unit import value_at
from tune.sweep.space import Point, SearchSpace


class SampledSearcher:
    """Proposes at most ``samples`` different points; this class samples them uniformly.

    Subclasses override `draw`.
    """

    tries = 20
    """Maximum number of draws for a proposal; then a random unused point is proposed."""

    def __init__(self, space: SearchSpace, *, samples: int, seed: int) -> None:
        self.size = samples
        self._space = space
        self._seed = seed
        self._seen: set[str] = set()

    def draw(self, number: int, attempt: int) -> Point:
        """Return a point for proposal ``number``, which depends only on what was reported."""
        return self._random_point(np.random.default_rng([self._seed, number, attempt]))

    def _random_point(self, rng: np.random.Generator) -> Point:
        return self._space.point(lambda _path, domain: value_at(domain, rng.random()))

    def propose(self, number: int) -> Point | None:
        """Return a point that has not been proposed, or None if there is none."""
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
        # After this many tries, almost the whole space has been proposed, so its grid is small.
        try:
            left = [point for point in self._space.grid() if key_of(point) not in self._seen]
        except UserError:
            return None
        return left[rng.integers(len(left))] if left else None

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Do nothing, because random points do not depend on results."""

    def hear_proposed(self, _trial_id: str, point: Point) -> None:
        """Do not propose the point again."""
        self._seen.add(key_of(point))

    def hear_skipped(self, point: Point) -> None:
        """Do not propose the point again."""
        self._seen.add(key_of(point))

    def hear_over_limit(self, trial_id: str) -> None:
        """Report a trial without a value, as one that failed."""
        self.hear_ended(trial_id, (), None)

    def hear_epoch(self, trial_id: str, epoch: int, value: float) -> None:
        """Do nothing, because random points do not depend on results."""

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], values: Sequence[float] | None
    ) -> None:
        """Do nothing, because random points do not depend on results."""


_RANDOM_TRIES = 100


def seed_of(*parts: int) -> int:
    """Combine integers into a seed of 32 bits."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def key_of(point: Mapping[str, object]) -> str:
    """Return a key that is equal for equal points."""
    return repr(sorted(point.items()))
