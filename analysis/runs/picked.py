"""Tests the difference of two models or configurations, each selected as the best of its run."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.statistics.estimate import Estimate
from analysis.statistics.verdicts import Verdict, equivalence, verdict

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Number of candidates that the best of each run was selected from.

    Suppose that the selected candidate of the first run is ahead. The selected candidate of the
    second run measures at least as well as the truly best one of that run. So the lead is due to
    luck only if a candidate of the first run leads the truly best one of the second by luck: there
    are as many comparisons as candidates of the first run. This requires that both were selected
    by the values that are compared; otherwise every pair of candidates counts.
    """

    first: int
    second: int
    by_compared: bool = True
    """Whether both were selected by the values that are compared."""

    def ahead(self, value: float) -> int:
        """Return the number of comparisons for a difference with the sign of ``value``."""
        if not self.by_compared:
            return self.first * self.second
        return self.first if value > 0 else self.second

    def __str__(self) -> str:
        return f"{self.first:,} and of {self.second:,}"


@dataclass(frozen=True, kw_only=True)
class PickedDifference:
    """First minus second, with a 95 % interval and a p-value that are corrected for selection."""

    value: float
    low: float
    high: float
    p_value: float
    verdict: Verdict


def picked_difference(
    estimate: Estimate,
    candidates: Candidates,
    *,
    margin: float,
    pictures: float,
    p_value: float | None = None,
    interval: Callable[[int], Interval] | None = None,
) -> PickedDifference:
    """Test the difference of the two selected candidates.

    Args:
        estimate: First minus second, without correction for selection.
        candidates: Number of candidates that each was selected from.
        margin: Smaller differences count as equivalent.
        pictures: Number of pictures that both were evaluated on.
        p_value: The p-value without correction, if it is not that of the t test.
        interval: Returns the interval for a family of comparisons, if it is not the t interval.
    """
    family = candidates.ahead(estimate.value)
    p = min(1.0, family * (estimate.p_value if p_value is None else p_value))
    ends = interval or estimate.interval
    most = max(candidates.ahead(1), candidates.ahead(-1))
    within = most * equivalence(estimate, margin, pictures)
    return PickedDifference(
        value=estimate.value,
        low=ends(candidates.ahead(1))[0],
        high=ends(candidates.ahead(-1))[1],
        p_value=p,
        verdict=verdict(estimate.value, p, within),
    )
