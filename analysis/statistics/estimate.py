"""An estimate with its standard error: interval, p-value, smallest detectable difference."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt

from scipy import stats

from fairsweep.errors import UserError

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
POWER = 0.8


class NotKnownError(UserError):
    """The run has too little data for an analysis; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean or a difference, its standard error, and the degrees of freedom of that error."""

    value: float
    standard_error: float
    df: float = inf

    def interval(self, family: int = 1) -> tuple[float, float]:
        """Return the 95 % t interval; with a ``family`` of m, all m hold together (Bonferroni)."""
        reach = float(stats.t.isf(ALPHA / family / 2, self.df)) * self.standard_error
        return self.value - reach, self.value + reach

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the t test that the true value is 0."""
        if self.standard_error == 0:
            return float(self.value == 0)
        return float(2 * stats.t.sf(abs(self.value) / self.standard_error, self.df))

    def detectable(self, family: int = 1) -> float:
        """Return the smallest true difference that is significant with a probability of 80 %.

        The multiplier of the standard error is that of Bloom (1995), "Minimum Detectable
        Effects", Evaluation Review 19(5); with a ``family`` of m, at the first step of Holm.
        """
        multiplier = stats.t.isf(ALPHA / family / 2, self.df) + stats.t.ppf(POWER, self.df)
        return float(multiplier * self.standard_error)


def combined(value: float, parts: Iterable[tuple[float, float]]) -> Estimate:
    """Build an estimate whose variance is a sum of independently estimated ``parts``.

    Args:
        value: The estimated value.
        parts: Variance and degrees of freedom of each part. The degrees of freedom of the sum are
            those of Satterthwaite (1946), "An Approximate Distribution of Estimates of Variance
            Components", Biometrics Bulletin 2(6).
    """
    known = [(variance, df) for variance, df in parts if variance > 0]
    total = sum(variance for variance, _ in known)
    spread = sum(variance**2 / df for variance, df in known)
    return Estimate(
        value=value, standard_error=sqrt(total), df=total**2 / spread if spread else inf
    )
