"""Maps domains to the interval from 0 to 1, so that uniform numbers give uniform values."""

import math

from tune.sweep.space import Domain, Range, Scalar


def value_at(domain: Domain, share: float) -> Scalar:
    """Return the value at ``share`` (0 to 1) of a domain."""
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
    """Return the position (0 to 1) of a value in a range; for discrete values, of their middle."""
    if domain.values is not None:
        nearest = min(domain.values, key=lambda each: abs(each - value))
        return (domain.values.index(nearest) + 0.5) / len(domain.values)
    low, high = _ends(domain)
    return ((math.log(value) if domain.log else value) - low) / (high - low)


def _ends(domain: Range) -> tuple[float, float]:
    """Return the ends of a range on the scale that is uniform; whole numbers extend half a step."""
    if not domain.log:
        return domain.low, domain.high
    margin = 0.5 if domain.whole else 0.0
    return math.log(domain.low - margin), math.log(domain.high + margin)
