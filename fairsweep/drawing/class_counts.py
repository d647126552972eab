"""Draws how many pictures each class has in each split."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairsweep.drawing.style import INK, MUTED, PALETTE, new_figure, shortened

Counts = Mapping[str, Mapping[str, int]]
"""Split → class → pictures."""

MOST_UPRIGHT = 6
"""At most this many classes get a bar per split, with its number; more get one row each."""
MOST_ROWS = 40
"""Maximum number of rows; of more classes the largest and the smallest are shown."""
LONGEST_NAME = 28
"""Characters of a class name that are shown."""
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


def draw_class_counts(counts: Counts) -> Figure:
    """Draw a group of bars per class, or a row per class if there are many."""
    classes = list(next(iter(counts.values())))
    return (_draw_upright if len(classes) <= MOST_UPRIGHT else _draw_rows)(counts, classes)


def left_out_words(counts: Counts) -> str:
    """Say which classes `draw_class_counts` leaves out; empty if it shows all of them."""
    count = len(next(iter(counts.values())))
    if count <= MOST_ROWS:
        return ""
    half = MOST_ROWS // 2
    return f" Shown are the {half} largest and the {half} smallest of the {count:,} classes."


def _draw_upright(counts: Counts, classes: list[str]) -> Figure:
    figure, grid = new_figure(max(5.2, 1.5 * len(classes)), 3.1)
    axes = grid[0, 0]
    width = 0.8 / len(counts)
    for place, (split, of_class) in enumerate(counts.items()):
        at = np.arange(len(classes)) + (place - (len(counts) - 1) / 2) * width
        heights = [of_class[name] for name in classes]
        label = _split_label(split, of_class)
        bars = axes.bar(at, heights, width * 0.92, color=PALETTE[place], label=label)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7.5, padding=2)
    axes.set_xticks(range(len(classes)), classes)
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("pictures")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def _draw_rows(counts: Counts, classes: list[str]) -> Figure:
    """Draw one row per class, the largest on top, with its splits one after the other."""
    totals = {name: sum(of_class[name] for of_class in counts.values()) for name in classes}
    order = sorted(classes, key=lambda name: -totals[name])
    rows = _shown(order)
    figure, grid = new_figure(6.6, 0.9 + 0.185 * len(rows))
    axes = grid[0, 0]
    left = np.zeros(len(rows))
    for place, (split, of_class) in enumerate(counts.items()):
        widths = np.array([0 if name is None else of_class[name] for name in rows])
        label = _split_label(split, of_class)
        axes.barh(range(len(rows)), widths, 0.8, left, color=PALETTE[place], label=label)
        left += widths
    for row, name in enumerate(rows):
        if name is not None:
            axes.annotate(
                f"{totals[name]:,}", (left[row], row), (3, 0), textcoords="offset points",
                va="center", fontsize=7, color=INK,
            )  # fmt: skip
    _tell_gap(axes, order, rows, totals)
    names = ["⋮" if name is None else shortened(name, LONGEST_NAME) for name in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max(left))
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("pictures")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def _shown(order: list[str]) -> list[str | None]:
    """Return the class of each row; None for the row that stands for all in between."""
    if len(order) <= MOST_ROWS:
        return list(order)
    half = MOST_ROWS // 2
    return [*order[:half], None, *order[-half:]]


def _tell_gap(
    axes: Axes, order: list[str], rows: list[str | None], totals: Mapping[str, int]
) -> None:
    if None in rows:
        half = MOST_ROWS // 2
        between = [totals[name] for name in order[half:-half]]
        words = f"{len(between):,} more classes of {between[-1]:,} to {between[0]:,} pictures"
        axes.text(0, half, f" {words}", va="center", fontsize=7, color=MUTED)


def _split_label(split: str, of_class: Mapping[str, int]) -> str:
    return f"{SPLIT_WORDS.get(split, split)} ({sum(of_class.values()):,})"
