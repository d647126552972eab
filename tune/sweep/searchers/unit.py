"""Domains as the interval from 0 to 1, where equal lengths are equally likely to be drawn."""

import math

from tune.sweep.space import Domain, Range, Scalar


def value_at(domain: Domain, share: float) -> Scalar:
    """Return the value that stands at ``share`` (0 to 1) of a domain."""
    if domain.values is not None:
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    assert isinstance(domain, Range)
    low, high = _ends(domain)
    value = low + share * (high - low)
    if domain.log:
        value = math.exp(value)
    if domain.whole:
        value = round(value)
    return min(max(value, domain.low), domain.high)


def share_of(domain: Range, value: float) -> float:
    """Return where a value stands in a range; the middle of its stretch if it has one."""
    if domain.values is not None:
        nearest = min(domain.values, key=lambda each: abs(each - value))
        return (domain.values.index(nearest) + 0.5) / len(domain.values)
    low, high = _ends(domain)
    return ((math.log(value) if domain.log else value) - low) / (high - low)


def _ends(domain: Range) -> tuple[float, float]:
    """Return the ends between which ``domain`` is even; whole numbers reach half a step beyond."""
    if not domain.log:
        return domain.low, domain.high
    margin = 0.5 if domain.whole else 0.0
    return math.log(domain.low - margin), math.log(domain.high + margin)
