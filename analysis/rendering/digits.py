"""Formats numbers with as many digits as their error supports."""

from collections.abc import Callable
from math import floor, log10
from typing import Any

import pandas as pd

from analysis.rendering.table import MISSING, Column

DECIMALS = 3
"""Decimal places if no error is known."""
MOST_DECIMALS = 6
REACH = 1.96
"""Half-width of a 95 % interval in standard errors."""


def decimals(standard_error: float) -> int:
    """Return how many decimal places a value with this standard error supports.

    The rule of the Particle Data Group (Review of Particle Physics, Introduction, section 5.3):
    keep two digits of the error if its first three digits are 100 to 354, otherwise one. From 950
    on the rule rounds up to 1.0 of the next power, which has the same number of decimal places.
    """
    if pd.isna(standard_error) or standard_error <= 0:
        return DECIMALS
    place = -floor(log10(standard_error))
    leading = round(standard_error * 10 ** (place + 2))
    if leading <= 354:
        place += 1
    return min(MOST_DECIMALS, max(0, place))


def supported(frame: pd.DataFrame, low: str, high: str) -> Callable[[Any], str]:
    """Return a formatter with the decimal places that the median 95 % interval supports.

    Args:
        frame: A row per interval.
        low: Column of the lower ends.
        high: Column of the upper ends.
    """
    width = (frame[high] - frame[low]).astype(float).median()
    return fraction(decimals(width / 2 / REACH))


def with_interval(frame: pd.DataFrame, name: str) -> tuple[Column, Column]:
    """Return the columns of a score and of its 95 % interval, ``NAME_low`` to ``NAME_high``."""
    low, high = f"{name}_low", f"{name}_high"
    text = supported(frame, low, high)
    return (
        Column(key=name, heading=name, text=text),
        Column(key=low, upper_key=high, heading=f"{name}, 95 %", text=text),
    )


def fraction(digits: int) -> Callable[[Any], str]:
    """Return a formatter of fractions with this many decimal places."""

    def write(value: Any) -> str:
        return MISSING if pd.isna(value) else f"{value:.{digits}f}"

    return write


def signed(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """Return a formatter that puts a plus sign before positive values, and no sign before zeros."""

    def write_signed(value: Any) -> str:
        text = write(value)
        if not set(text.removeprefix("-")) - set("0."):
            return text.removeprefix("-")
        return f"+{text}" if value > 0 else text

    return write_signed


def p_text(value: Any) -> str:
    """Format a p-value."""
    if pd.isna(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def share_text(value: Any) -> str:
    """Format a share of a whole as a percentage."""
    return MISSING if pd.isna(value) else f"{100 * value:.0f} %"
