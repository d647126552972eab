"""Sobol search: points of a low-discrepancy sequence, spread more evenly than random ones."""

import numpy as np
from scipy.stats.qmc import Sobol

from tune.sweep.searchers.sampled import SampledSearcher
from tune.sweep.searchers.unit import value_at
from tune.sweep.space import Point


class SobolSearcher(SampledSearcher):
    """Proposal n is point n of Sobol's sequence, scrambled by the sweep's seed.

    Source: Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998, in scipy's version. In a
    space of few values, a point that was already proposed is replaced by a later one of the
    sequence, ``samples`` places further.
    """

    def draw(self, number: int, attempt: int) -> Point:
        """Map a point of the unit cube to the space, with a dimension for each hyperparameter."""
        paths = self._space.domains(next(self._space.samples_of_each()))
        engine = Sobol(len(paths), rng=np.random.default_rng(self._seed))
        if index := number + attempt * self.size:
            engine.fast_forward(index)
        shares = dict(zip(paths, engine.random(1)[0].tolist(), strict=True))
        return self._space.point(lambda path, domain: value_at(domain, shares[path]))
