"""CMA-ES: samples from a normal distribution that adapts to good trials."""

from collections.abc import Sequence

import cmaes
import numpy as np
import numpy.typing as npt

from tune.sweep.searchers.sampled import SampledSearcher, seed_of
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.searchers.unit import share_of, value_at
from tune.sweep.space import Point, Range, SearchSpace

_SIGMA = 1 / 6
"""Initial standard deviation in the unit cube, as in Optuna."""
_WARM_SHARE = 0.1
"""Share of the known trials, the best ones, that a warm start uses; the paper's default."""


_CONVERGED = 1e-3
"""A distribution that is narrower than this share of the space in every direction has converged.
Continuing would lead to numbers that are too small."""


class CmaEsSearcher(SampledSearcher):
    """The `cmaes` library on the unit cube, updated by all trials in the order of their ends.

    Optuna's sampler wraps the same library. But it seeds the sampler by the trial's number in the
    study, stores pickled state with trials, and drops trials that end after their generation. This
    does not work with ledger replay and many parallel trials. A trial that was stopped early counts
    with its last value. After convergence the search restarts at a random point.

    Source: Hansen 2016, arXiv:1604.00772; warm start: Nomura et al. 2021, arXiv:2012.06932.
    """

    def __init__(
        self, space: SearchSpace, *, samples: int, seed: int, population: int | None = None
    ) -> None:
        super().__init__(space, samples=samples, seed=seed)
        self._domains = {
            path: domain
            for path, domain in space.domains(next(space.samples_of_each())).items()
            if isinstance(domain, Range)
        }
        self._population = population
        self._restarts = 0
        dimensions = len(self._domains)
        self._optimizer = self._begin(np.full(dimensions, 0.5), _SIGMA, np.eye(dimensions))
        self._running: dict[str, npt.NDArray[np.float64]] = {}
        self._untold: list[tuple[npt.NDArray[np.float64], float]] = []

    def _begin(
        self, mean: npt.NDArray[np.float64], sigma: float, covariance: npt.NDArray[np.float64]
    ) -> cmaes.CMA:
        return cmaes.CMA(
            mean=mean,
            sigma=sigma,
            cov=covariance,
            bounds=np.tile([0.0, 1.0], (len(mean), 1)),
            n_max_resampling=10 * len(mean),
            population_size=self._population,
        )

    def draw(self, number: int, attempt: int) -> Point:
        """Sample from the current distribution."""
        self._optimizer.reseed_rng(seed_of(self._seed, number, attempt))
        shares = dict(zip(self._domains, self._optimizer.ask().tolist(), strict=True))
        return self._space.point(lambda path, domain: value_at(domain, shares[path]))

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Start around the best of the known trials."""
        # The library minimizes.
        solutions = [(self._shares(trial.point), -trial.curve[-1]) for trial in trials]
        if solutions:
            share = min(1.0, max(_WARM_SHARE, 1.001 / len(solutions)))
            mean, sigma, covariance = cmaes.get_warm_start_mgd(solutions, gamma=share)
            self._optimizer = self._begin(mean, sigma, covariance)

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Store the trial's point."""
        super().hear_proposed(trial_id, point)
        self._running[trial_id] = self._shares(point)

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], _values: Sequence[float] | None
    ) -> None:
        """Update the distribution after a complete population; skip trials without a value."""
        shares = self._running.pop(trial_id)
        if not curve:
            return
        self._untold.append((shares, -curve[-1]))
        if len(self._untold) == self._optimizer.population_size:
            self._tell()

    def _tell(self) -> None:
        batch, self._untold = self._untold, []
        converged = np.ptp([place for place, _ in batch], axis=0).max() < _CONVERGED
        if not converged:
            self._optimizer.tell(batch)
        if converged or self._optimizer.should_stop():
            self._restarts += 1
            rng = np.random.default_rng([self._seed, self._restarts])
            dimensions = len(self._domains)
            self._optimizer = self._begin(rng.random(dimensions), _SIGMA, np.eye(dimensions))

    def _shares(self, point: Point) -> npt.NDArray[np.float64]:
        return np.array(
            [share_of(domain, float(point[path])) for path, domain in self._domains.items()]
        )
