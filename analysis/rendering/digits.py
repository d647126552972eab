"""How many digits an error supports, and cells written with them."""

from collections.abc import Callable
from math import floor, log10
from typing import Any

import pandas as pd

from analysis.rendering.table import MISSING

DECIMALS = 3
"""Digits after the point where no error is known."""
MOST_DECIMALS = 6
REACH = 1.96
"""Standard errors from the middle of a 95 % interval to its end."""


def decimals(standard_error: float) -> int:
    """Return how many digits after the point a figure with this error supports.

    The rule of the Particle Data Group (Review of Particle Physics, Introduction, section 5.3):
    the error keeps two digits if its first three lie in 100 to 354, else one (from 950 on, 1.0 of
    the next place, which is as many digits after the point).
    """
    if pd.isna(standard_error) or standard_error <= 0:
        return DECIMALS
    place = -floor(log10(standard_error))
    leading = round(standard_error * 10 ** (place + 2))
    if leading <= 354:
        place += 1
    return min(MOST_DECIMALS, max(0, place))


def supported(frame: pd.DataFrame, low: str, high: str) -> Callable[[Any], str]:
    """Return what writes fractions with the digits that the widths of 95 % intervals support."""
    width = (frame[high] - frame[low]).astype(float).median()
    return fraction(decimals(width / 2 / REACH))


def fraction(digits: int) -> Callable[[Any], str]:
    """Return what writes a fraction with this many digits after the point."""

    def write(value: Any) -> str:
        return MISSING if pd.isna(value) else f"{value:.{digits}f}"

    return write


def signed(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """Return what writes a difference with its sign."""

    def write_signed(value: Any) -> str:
        return f"+{write(value)}" if value > 0 else write(value)

    return write_signed


def p_text(value: Any) -> str:
    """Write a p-value."""
    if pd.isna(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def share_text(value: Any) -> str:
    """Write a share of a whole in per cent."""
    return MISSING if pd.isna(value) else f"{100 * value:.0f} %"
