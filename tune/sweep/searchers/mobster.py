"""MOBSTER's search: a Gaussian process over configuration and epoch."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel
from threadpoolctl import ThreadpoolController

from tune.sweep.searchers.curves import CurveSearcher, Trained
from tune.sweep.searchers.features import Features
from tune.sweep.searchers.sampled import key_of
from tune.sweep.space import Point, SearchSpace

Floats = npt.NDArray[np.float64]
_STARTUP = 8
"""Trials with a value that the process needs; before, points are random."""
_GROWTH = 1.25
"""The kernel is learned again when there are this many times as many trials with a value."""
_LEARNED_ROWS = 150
"""Rows that the kernel is learned from at most; predictions use all rows."""
_ROWS = 400
"""Rows that are used at most, those of the highest epochs, because time grows with their cube."""
_RUNG = 3
"""Of each curve, the values at powers of this number and the last one are used."""
_RANDOM, _BEST, _NEAR_EACH, _WIDTH = 300, 10, 20, 0.1
"""Candidates: random ones, and some near each of the best trials, with this spread."""


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What is known of the trials; a row is a value of a curve."""

    places: Floats
    """(rows, coordinates + 1) coordinates of the point, and logarithm of the epoch, 0 to 1."""
    values: Floats
    """(rows,) larger is better."""


class MobsterSearcher(CurveSearcher):
    """Proposes the candidate with the largest expected improvement at the last epoch.

    The process is learned from all curves. Trials that are not finished count as if they would end
    as predicted, so that parallel proposals differ. The scheduler takes the place of MOBSTER's.

    Source: Klein et al. 2020, arXiv:2003.10865, with a joint Matérn kernel in place of its own;
    expected improvement in logarithms: Ament et al. 2023, arXiv:2310.20708.
    """

    tries = 2  # Candidates were not proposed before; more tries would only draw others.

    def __init__(self, space: SearchSpace, *, samples: int, seed: int, epochs: int) -> None:
        """Create the searcher.

        Args:
            space: The search space.
            samples: Maximum number of points to propose.
            seed: Seed of the sweep.
            epochs: Epochs of a complete training.
        """
        super().__init__(space, samples=samples, seed=seed)
        self._features = Features(space)
        self._epochs = max(epochs, 2)
        self._due = _STARTUP
        self._snapshot: _Rows | None = None
        self._kernel: Kernel | None = None

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Add the trial; note what the kernel is learned from, if there is enough more now.

        This depends on the ledger alone, so a resumed sweep has the same kernel.
        """
        known = len(self._known())
        if known >= self._due:
            self._snapshot, self._kernel = self._rows(), None
            self._due = int(np.ceil(known * _GROWTH))
        super().hear_proposed(trial_id, point)

    def draw(self, number: int, attempt: int) -> Point:
        """Return the best of the candidates, or a random point while little is known."""
        rng = np.random.default_rng([self._seed, number, attempt])
        if self._snapshot is None:
            return self._random_point(rng)
        # More threads would take the cores of trials, and might round differently elsewhere.
        with _libraries().limit(limits=1):
            return self._best_point(self._snapshot, rng)

    def _best_point(self, snapshot: _Rows, rng: np.random.Generator) -> Point:
        if self._kernel is None:
            self._kernel = _learn(snapshot)
        process = self._fit(self._kernel)
        points = [trial.point for trial in self.trials.values()]
        means = process.predict(self._at_end(points))
        best = [points[index] for index in np.argsort(-means, kind="stable")[:_BEST]]
        candidates = self._candidates(best, rng)
        expected, deviation = process.predict(self._at_end(candidates), return_std=True)
        # Without the noise of a measurement, which no further trial would take away.
        deviation = np.sqrt(np.maximum(deviation**2 - self._kernel.k2.noise_level, 1e-6))
        gains = _log_improvement((expected - means.max()) / deviation) + np.log(deviation)
        return candidates[int(np.argmax(gains))]

    def _fit(self, kernel: Kernel) -> GaussianProcessRegressor:
        """Return the process given all curves, and given that running trials end as expected."""
        rows = self._rows()
        values = _scaled(rows.values)
        process = GaussianProcessRegressor(kernel, optimizer=None).fit(rows.places, values)
        running = [trial.point for trial in self.trials.values() if not trial.ended]
        if running:
            ends = self._at_end(running)
            believed = process.predict(ends)
            process.fit(np.concatenate([rows.places, ends]), np.concatenate([values, believed]))
        return process

    def _candidates(self, best: Sequence[Point], rng: np.random.Generator) -> list[Point]:
        points = [self._random_point(rng) for _ in range(_RANDOM)]
        for point in best:
            points += [self._features.near(point, rng, width=_WIDTH) for _ in range(_NEAR_EACH)]
        return [point for point in points if key_of(point) not in self._seen] or points

    def _known(self) -> list[Trained]:
        return [trial for trial in self.trials.values() if trial.curve]

    def _at_end(self, points: Sequence[Point]) -> Floats:
        return np.column_stack([self._features.matrix(points), np.ones(len(points))])

    def _rows(self) -> _Rows:
        known = self._known()
        levels = [_levels(trial) for trial in known]
        points = self._features.matrix([trial.point for trial in known])
        epochs = np.array([epoch for each in levels for epoch in each])
        time = np.log(epochs) / np.log(self._epochs)
        counts = [len(each) for each in levels]
        values = [t.curve[epoch] for t, each in zip(known, levels, strict=True) for epoch in each]
        places = np.column_stack([np.repeat(points, counts, axis=0), time])
        latest = np.argsort(-epochs, kind="stable")[:_ROWS]
        return _Rows(places=places[latest], values=np.array(values)[latest])


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _levels(trial: Trained) -> list[int]:
    """Return the epochs of a trial that are used."""
    last = trial.reached
    powers = {_RUNG**power for power in range(last.bit_length())}
    return sorted((powers & trial.curve.keys()) | {last})


def _learn(rows: _Rows) -> Kernel:
    """Return the kernel with the largest likelihood, found from the same start each time."""
    count, dimensions = rows.places.shape
    rng = np.random.default_rng(count)
    some = rng.choice(count, min(count, _LEARNED_ROWS), replace=False)
    smooth = Matern(np.ones(dimensions), (0.05, 20.0), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * smooth + WhiteKernel(1e-2, (1e-5, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        process = GaussianProcessRegressor(kernel)
        return process.fit(rows.places[some], _scaled(rows.values)[some]).kernel_


def _scaled(values: Floats) -> Floats:
    """Return the normal scores of values, so that trainings that failed to learn do not matter."""
    scores: Floats = norm.ppf((rankdata(values) - 0.5) / len(values))
    return scores


def _log_improvement(gains: Floats) -> Floats:
    """Return the logarithm of the expected improvement, in deviations.

    It is log(φ(z) + z Φ(z)) = log Φ(z) + log(z + φ(z) / Φ(z)), which does not underflow.
    """
    below = norm.logcdf(gains)
    ratio = np.exp(norm.logpdf(gains) - below)
    improvement: Floats = below + np.log(np.maximum(gains + ratio, 1e-12))
    return improvement
