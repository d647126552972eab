"""Two trained models on the same pictures, and two configurations over the same folds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from analysis.statistics.bootstrap import stretched
from analysis.statistics.estimate import ALPHA, Estimate

DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class ModelPair:
    """Two trained models on the same n pictures: a statement about these two trainings alone."""

    n: int
    only_first: int
    """Pictures that only the first model told right."""
    only_second: int
    """Pictures that only the second model told right."""

    @property
    def difference(self) -> float:
        """Accuracy of the first less that of the second."""
        return (self.only_first - self.only_second) / self.n

    @property
    def p_value(self) -> float:
        """Exact two-sided p-value of McNemar (1947), Psychometrika 12(2): statsmodels' ``mcnemar``.

        Pictures that both or neither told right say nothing of the difference.
        """
        table = [[0, self.only_first], [self.only_second, 0]]
        return float(mcnemar(table, exact=True).pvalue)

    @property
    def estimate(self) -> Estimate:
        """The difference with its normal-theory standard error for paired proportions.

        Agresti (2013), Categorical Data Analysis, 3rd edition, equation 11.2.
        """
        discordant = (self.only_first + self.only_second) / self.n
        variance = (discordant - self.difference**2) / self.n
        return Estimate(value=self.difference, standard_error=float(np.sqrt(variance)))

    def interval(self, family: int = 1, seed: int = 0) -> tuple[float, float]:
        """Return the 95 % interval of the difference by a paired bootstrap over the pictures.

        Only the counts of the four kinds of pictures enter the difference, so drawing n pictures
        with replacement is drawing these counts from a multinomial distribution. With a ``family``
        of m the percentile interval is stretched so that all m hold together (Bonferroni).
        """
        shares = np.array([self.only_first, self.only_second]) / self.n
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(self.n, [*shares, 1 - shares.sum()], DRAWS)
        draws = (drawn[:, 0] - drawn[:, 1]) / self.n
        normal = stats.norm.isf(np.array([ALPHA / family, ALPHA]) / 2)
        return stretched(draws, self.difference, normal[0] / normal[1])


def compare_models(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> ModelPair:
    """Compare two trained models by which of the same n pictures each told right.

    Args:
        first: (n,) whether the first model told a picture right.
        second: (n,) the same of the second.
    """
    return ModelPair(
        n=len(first),
        only_first=int((first & ~second).sum()),
        only_second=int((~first & second).sum()),
    )


def compare_over_folds(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], test_to_train: float
) -> Estimate:
    """Compare two configurations over the same J folds: the corrected resampled t-test.

    Args:
        first: (J,) accuracy of the first configuration on each fold.
        second: (J,) the same of the second.
        test_to_train: Pictures judged on in a fold over pictures trained on, 1 / (k - 1) in k
            folds.
    """
    return over_folds(first - second, test_to_train)


def over_folds(values: npt.NDArray[np.float64], test_to_train: float) -> Estimate:
    """Estimate the mean of a figure over J folds whose training pictures overlap.

    The variance is that of Nadeau and Bengio (2003), "Inference for the Generalization Error",
    Machine Learning 52, equation 9: (1/J + n_test/n_train)·s², with J - 1 degrees of freedom. For
    a difference this gives their corrected resampled t-test.
    """
    count = len(values)
    variance = (1 / count + test_to_train) * values.var(ddof=1)
    return Estimate(
        value=float(values.mean()), standard_error=float(np.sqrt(variance)), df=count - 1
    )
