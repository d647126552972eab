"""The difference of two that were each picked as the best of their run."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.statistics.estimate import Estimate
from analysis.statistics.verdicts import Verdict, equivalence, verdict

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """From how many the best of either run was picked.

    The picked one of the first run is ahead by luck if any of its candidates is, against the truly
    best one of the second: the picked one of the second has no lower figure than that one. So
    where the first is ahead, there are as many comparisons as candidates of the first. This needs
    that the best was picked by the figures that are compared; else every pair counts.
    """

    first: int
    second: int
    by_compared: bool = True
    """Whether both were picked by the figures that are compared."""

    def ahead(self, value: float) -> int:
        """Return the number of comparisons for a difference with the sign of ``value``."""
        if not self.by_compared:
            return self.first * self.second
        return self.first if value > 0 else self.second

    def __str__(self) -> str:
        return f"{self.first:,} and of {self.second:,}"


@dataclass(frozen=True, kw_only=True)
class PickedDifference:
    """The first less the second, with 95 % interval and p-value that allow for the picking."""

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
    """Judge the difference of the two picked ones.

    Args:
        estimate: The first less the second, as if they had not been picked.
        candidates: From how many each was picked.
        margin: Differences below it do not count.
        pictures: Number of pictures that both were judged on.
        p_value: Of its test, where that is not the t test.
        interval: Its interval for a family of comparisons, where that is not the t interval.
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
