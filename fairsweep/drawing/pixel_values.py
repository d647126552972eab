"""Draws the distribution of pixel values: of each class, or of all if classes are many."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairsweep.drawing.style import GREEN, LINES, ORANGE, PALETTE, SKY, VERMILION, new_figure

Values = Mapping[str, Mapping[str, npt.NDArray[np.int64]]]
"""Channel (gray; or red, green, blue) → class → (256,) pixels of each value."""

BIN = 8
"""Values per bin of the histogram."""
MOST_CURVES = 6
"""At most this many classes get a curve each."""
BAND = (5, 95)
"""Percentiles of the classes at the edges of the band that summarises many classes."""


def draw_pixel_values(values: Values) -> Figure:
    """Draw a panel per channel, with one stepped curve per class or a summary of many."""
    figure, grid = new_figure(5.8 if len(values) == 1 else 9.3, 3.1, columns=len(values))
    many = len(next(iter(values.values()))) > MOST_CURVES
    for axes, (channel, of_class) in zip(grid[0], values.items(), strict=True):
        edges = np.arange(0, 257, BIN)
        if many:
            _summary(axes, of_class, edges, extremes(values))
        else:
            for place, (name, counts) in enumerate(of_class.items()):
                _curve(axes, shares(counts), edges, name, PALETTE[place], LINES[place])
        ends = "black, 255 white" if channel == "gray" else f"none, 255 full {channel}"
        axes.set(xlabel=f"{channel} value (0 {ends})", xlim=(0, 256))
        axes.set_xticks([0, 64, 128, 192, 255])
    grid[0, 0].set_ylabel("share of pixels, %")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=min(4, len(names)))
    return figure


def how_to_read(classes: int) -> str:
    """Say what the curves of `draw_pixel_values` show."""
    bins = f"in bins of {BIN} values; each curve adds up to 100 %."
    if classes <= MOST_CURVES:
        return bins
    return (
        f"{bins} The band holds nine of ten of the {classes:,} classes at each value; of single "
        "classes only the darkest and the brightest on average are drawn."
    )


def shares(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the % of pixels in each bin of values, from the (256,) pixels of each value."""
    binned = counts.reshape(-1, BIN).sum(axis=1).astype(float)
    result: npt.NDArray[np.float64] = 100 * binned / max(1, binned.sum())
    return result


def extremes(values: Values) -> tuple[str, str]:
    """Return the classes whose pixels are the darkest and the brightest on average."""
    level = np.arange(256)
    means: dict[str, float] = {}
    for of_class in values.values():
        for name, counts in of_class.items():
            if counts.any():
                means[name] = means.get(name, 0.0) + float(counts @ level / counts.sum())
    return min(means, key=means.__getitem__), max(means, key=means.__getitem__)


def _summary(
    axes: Axes,
    of_class: Mapping[str, npt.NDArray[np.int64]],
    edges: npt.NDArray[np.int64],
    named: tuple[str, str],
) -> None:
    table = np.array([shares(counts) for counts in of_class.values() if counts.any()])
    low, high = np.percentile(table, BAND, axis=0)
    axes.stairs(high, edges, baseline=low, fill=True, color=SKY, alpha=0.35, label="most classes")
    everything = np.sum(list(of_class.values()), axis=0)
    _curve(axes, shares(everything), edges, "all pictures", GREEN, "-")
    for word, name, colour, dash in zip(
        ("darkest", "brightest"), named, (VERMILION, ORANGE), ("--", ":"), strict=True
    ):
        _curve(axes, shares(of_class[name]), edges, f"{word}: {name}", colour, dash)


def _curve(
    axes: Axes,
    heights: npt.NDArray[np.float64],
    edges: npt.NDArray[np.int64],
    label: str,
    colour: str,
    dash: Any,
) -> None:
    axes.stairs(heights, edges, label=label, linewidth=1.5, color=colour, linestyle=dash)
