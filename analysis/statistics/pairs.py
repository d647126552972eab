"""Compares two models on the same pictures, and two configurations over the same folds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.statistics.bootstrap import stretched
from analysis.statistics.clusters import Clusters, deviations, singles
from analysis.statistics.estimate import ALPHA, Estimate

DRAWS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelPair:
    """Two trained models on the same n pictures.

    The results apply to these two trainings, not to their configurations.
    """

    differences: npt.NDArray[np.int64]
    """(n,) 1 for a picture that only the first model classified correctly, -1 for one that only
    the second did, else 0."""
    clusters: Clusters
    """Clusters of these pictures."""

    @property
    def n(self) -> int:
        """Number of pictures."""
        return len(self.differences)

    @property
    def only_first(self) -> int:
        """Number of pictures that only the first model classified correctly."""
        return int((self.differences > 0).sum())

    @property
    def only_second(self) -> int:
        """Number of pictures that only the second model classified correctly."""
        return int((self.differences < 0).sum())

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second."""
        return (self.only_first - self.only_second) / self.n

    @property
    def p_value(self) -> float:
        """Exact two-sided p-value of the hypothesis that the models are equally good.

        A randomization test: under the hypothesis, the difference on each cluster of pictures has
        either sign with equal probability. The p-value is the probability of a total difference at
        least as large as the observed one. (For clusters as units see Obuchowski 1998, "On the
        Comparison of Correlated Proportions for Clustered Data", Statistics in Medicine 17(13).)
        For independent pictures this is McNemar's exact test (Psychometrika 12(2), 1947).
        """
        sizes = np.abs(self._of_clusters)
        return _share_of_exchanges(sizes[sizes > 0], abs(int(self._of_clusters.sum())))

    @property
    def estimate(self) -> Estimate:
        """The difference with its normal-theory standard error for paired proportions.

        Agresti (2013), Categorical Data Analysis, 3rd edition, equation 11.2; for clusters,
        `analysis.statistics.clusters.deviations`.
        """
        if self.clusters.all_single:
            discordant = (self.only_first + self.only_second) / self.n
            variance = (discordant - self.difference**2) / self.n
        else:
            variance = float((deviations(self.differences, self.clusters) ** 2).sum())
        return Estimate(value=self.difference, standard_error=float(np.sqrt(variance)))

    def interval(self, family: int = 1) -> tuple[float, float]:
        """Return the 95 % interval of the difference by a paired bootstrap over the pictures.

        The bootstrap resamples clusters of pictures. Clusters with the same size and difference are
        interchangeable, so the number of clusters of each kind is drawn from a multinomial
        distribution. For a ``family`` of m comparisons, the percentile interval is stretched so
        that all m intervals hold simultaneously (Bonferroni).
        """
        kinds = np.column_stack([self._of_clusters, self.clusters.sizes])
        kinds, counts = np.unique(kinds, axis=0, return_counts=True)
        order = np.lexsort([-kinds[:, 0], -np.abs(kinds[:, 0])])
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(counts.sum(), counts[order] / counts.sum(), DRAWS) @ kinds[order]
        draws = drawn[:, 0] / drawn[:, 1]
        normal = stats.norm.isf(np.array([ALPHA / family, ALPHA]) / 2)
        return stretched(draws, self.difference, normal[0] / normal[1])

    @property
    def _of_clusters(self) -> npt.NDArray[np.int64]:
        return self.clusters.sums(self.differences).round().astype(np.int64)


def compare_models(
    first: npt.NDArray[np.bool_],
    second: npt.NDArray[np.bool_],
    clusters: Clusters | None = None,
) -> ModelPair:
    """Compare two trained models on the same n pictures.

    Args:
        first: (n,) whether the first model classified a picture correctly.
        second: (n,) the same for the second.
        clusters: Clusters of the pictures; None if all are independent.
    """
    differences = first.astype(np.int64) - second.astype(np.int64)
    return ModelPair(differences=differences, clusters=clusters or singles(len(first)))


def compare_over_folds(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], test_to_train: float
) -> Estimate:
    """Compare two configurations over the same J folds by the corrected resampled t-test.

    Args:
        first: (J,) accuracy of the first configuration on each fold.
        second: (J,) the same for the second.
        test_to_train: Ratio of validation to training pictures of a fold, 1 / (k - 1) for k folds.
    """
    return over_folds(first - second, test_to_train)


def over_folds(values: npt.NDArray[np.float64], test_to_train: float) -> Estimate:
    """Estimate the mean of values on J folds whose training pictures overlap.

    The variance is that of Nadeau and Bengio (2003), "Inference for the Generalization Error",
    Machine Learning 52, equation 9: (1/J + n_test/n_train)·s², with J - 1 degrees of freedom. For
    a difference this gives their corrected resampled t-test.
    """
    count = len(values)
    variance = (1 / count + test_to_train) * values.var(ddof=1)
    return Estimate(
        value=float(values.mean()), standard_error=float(np.sqrt(variance)), df=count - 1
    )


def _share_of_exchanges(sizes: npt.NDArray[np.int64], least: int) -> float:
    """Return the probability that a sum of ``sizes`` with random signs is at least ``least``.

    Both directions count. The distribution is the convolution of a binomial for each size.
    """
    total = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        total = np.convolve(total, spread)
    middle = len(total) // 2
    return 1.0 if least == 0 else min(1.0, 2 * float(total[middle + least :].sum()))
