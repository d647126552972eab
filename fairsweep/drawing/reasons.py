"""Draws why pictures were left out of a dataset."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from fairsweep.drawing.style import INK, VERMILION, new_figure, shortened

LONGEST_REASON = 64
"""Characters of a reason that are shown."""


def draw_reasons(reasons: Mapping[str, int]) -> Figure:
    """Draw a bar for each reason, with its number of pictures."""
    figure, grid = new_figure(7.4, 0.7 + 0.24 * len(reasons))
    axes = grid[0, 0]
    bars = axes.barh(range(len(reasons)), list(reasons.values()), 0.75, color=VERMILION)
    axes.bar_label(bars, fmt="{:,.0f}", fontsize=7.5, padding=3, color=INK)
    names = [shortened(reason, LONGEST_REASON) for reason in reasons]
    axes.set_yticks(range(len(reasons)), names, fontsize=7.5)
    axes.set_ylim(len(reasons) - 0.4, -0.6)
    axes.set_xlim(0, 1.15 * max(reasons.values()))
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("rows left out")
    return figure
