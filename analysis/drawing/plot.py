"""Draws a chart with matplotlib."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.drawing.chart import Axis, Chart, Layer, Panel, Parallel
from analysis.drawing.style import COLOUR_MAP, MUTED, PAPER, RULE, ink_on, matrix_grid, new_figure

MANY = 400
"""A layer with more marks or curves than this is rasterized, in the SVG too, to keep the file
small. Its curves are also drawn fainter."""
LABEL_INCHES = 0.58
"""Room for a tick label below a panel: seven characters, such as 200,000, and a gap."""
BAND_ALPHA = 0.2
BAR_HALF = 0.33
"""Half the width of the bar of a mean; categories are 1 apart."""


def plot(chart: Chart | Parallel) -> Figure:
    """Draw every panel, and one legend for all panels."""
    if isinstance(chart, Parallel):
        return _plot_parallel(chart)
    count = len(chart.panels)
    rows = -(-count // chart.columns)
    columns = -(-count // rows)
    width, height = chart.panel_size
    figure, grid = new_figure(width * columns, height * rows, columns, rows)
    for axes, panel in zip(grid.flat, chart.panels, strict=False):
        plot_panel(figure, axes, panel)
    for axes in grid.flat[count:]:
        axes.remove()
    handles: dict[str, Line2D] = {}
    for layer in (layer for panel in chart.panels for layer in panel.layers if layer.label):
        handles.setdefault(layer.label, _handle(layer))
    if handles:
        figure.legend(
            handles=list(handles.values()),
            title=chart.legend_title or None,
            loc="outside upper left",
            ncols=3 if len(handles) > 4 else 4,
        )
    return figure


def plot_panel(figure: Figure, axes: Axes, panel: Panel) -> None:
    """Draw the layers and the axes of a panel."""
    scale = Normalize(*panel.value_limits)
    for layer in panel.layers:
        _LAYERS[layer.kind](axes, layer, scale)
    axes.autoscale_view()
    _set_axis(axes, "x", panel.x)
    _set_axis(axes, "y", panel.y)
    cells = any(layer.kind == "cells" for layer in panel.layers)
    if cells:
        matrix_grid(axes, panel.x.names, panel.y.names)
    elif panel.value_label:
        _colour_bar(figure, axes, scale, panel.value_label)


def _set_axis(axes: Axes, which: str, axis: Axis) -> None:
    drawn: Any = getattr(axes, f"{which}axis")
    set_limits: Any = getattr(axes, f"set_{which}lim")
    getattr(axes, f"set_{which}label")(axis.label)
    if axis.log:
        getattr(axes, f"set_{which}scale")("log")
        low, high = getattr(axes, f"get_{which}lim")()
        close = which == "x" and 0.3 * _most_labels(axes) < np.log10(high / low)
        most = _most_labels(axes) if which == "x" else 12
        drawn.set_major_locator(LogLocator(subs=(1,) if close else (1, 2, 5), numticks=most))
        drawn.set_minor_formatter(NullFormatter())
    elif which == "x":
        drawn.set_major_locator(MaxNLocator(nbins=_most_labels(axes), steps=[1, 2, 5, 10]))
    if not axis.names:
        drawn.set_major_formatter(FuncFormatter(number_text))
    if axis.names:
        getattr(axes, f"set_{which}ticks")(range(len(axis.names)), axis.names)
        set_limits(-0.5, len(axis.names) - 0.5)
    if axis.whole:
        drawn.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    if axis.limits:
        set_limits(*axis.limits)
    if axis.reversed:
        drawn.set_inverted(True)
    if which == "x" and not axis.names:
        axes.grid(visible=True, axis="x")


def _most_labels(axes: Axes) -> int:
    """Return how many tick labels fit below the axes, each of `LABEL_INCHES`."""
    spec = axes.get_subplotspec()
    columns = 1 if spec is None else spec.get_gridspec().ncols
    figure = axes.get_figure(root=True)
    assert figure is not None
    return max(2, int(0.8 * figure.get_size_inches()[0] / columns / LABEL_INCHES))


def number_text(value: float, _place: Any = None) -> str:
    """Format a tick as in 0.0001, 60, 250,000 or 25 M."""
    return f"{value / 1e6:g} M" if abs(value) >= 1e6 else f"{value:,.10g}"


def _points(axes: Axes, layer: Layer, scale: Normalize) -> None:
    if layer.low is not None and layer.high is not None:
        axes.vlines(layer.x, layer.low, layer.high, color=layer.colour, linewidth=1.4, zorder=2.5)
    if not layer.marker:
        return
    style: dict[str, Any] = {"s": layer.size**2, "marker": layer.marker, "alpha": layer.alpha}
    if layer.values is not None:
        style |= {"c": layer.values, "cmap": COLOUR_MAP, "norm": scale}
    elif layer.marker in "X|":
        style |= {"color": layer.colour}
    else:
        face = PAPER if layer.hollow else layer.colour
        style |= {"facecolors": face, "edgecolors": layer.colour, "linewidths": 1.1}
    axes.scatter(layer.x, layer.y, zorder=3, rasterized=len(layer.x) > MANY, **style)


def _line(axes: Axes, layer: Layer, scale: Normalize) -> None:
    style: dict[str, Any] = {"color": layer.colour, "linestyle": layer.dash}
    if layer.width is not None:
        style |= {"linewidth": layer.width, "zorder": 4}
    drawstyle = "steps-post" if layer.kind == "steps" else "default"
    axes.plot(layer.x, layer.y, drawstyle=drawstyle, **style)
    if layer.marker:
        _points(axes, layer, scale)


def _band(axes: Axes, layer: Layer, scale: Normalize) -> None:
    if layer.low is not None and layer.high is not None:
        style: dict[str, Any] = {"color": layer.colour, "alpha": BAND_ALPHA, "linewidth": 0}
        axes.fill_between(layer.x, layer.low, layer.high, **style)
    _line(axes, replace(layer, low=None, high=None), scale)


def _means(axes: Axes, layer: Layer, _scale: Normalize) -> None:
    bars: dict[str, Any] = {"color": layer.colour, "zorder": 4}
    axes.hlines(layer.y, layer.x - BAR_HALF, layer.x + BAR_HALF, linewidth=2.2, **bars)
    if layer.low is not None and layer.high is not None:
        axes.vlines(layer.x, layer.low, layer.high, linewidth=1.4, **bars)


def _intervals(axes: Axes, layer: Layer, scale: Normalize) -> None:
    if layer.low is not None and layer.high is not None:
        axes.hlines(layer.y, layer.low, layer.high, color=layer.colour, linewidth=1.6, zorder=2.5)
    _points(axes, replace(layer, low=None, high=None), scale)


def _curves(axes: Axes, layer: Layer, _scale: Normalize) -> None:
    assert layer.starts is not None
    stops = np.append(layer.starts[1:], len(layer.x))
    curves = [
        np.column_stack([layer.x[start:stop], layer.y[start:stop]])
        for start, stop in zip(layer.starts, stops, strict=True)
    ]
    many = len(curves) > MANY
    alpha = max(0.02, 80 / len(curves)) if many else layer.alpha  # to show density
    lines = LineCollection(curves, colors=layer.colour, linewidths=1.2, alpha=alpha)
    lines.set_rasterized(many)
    axes.add_collection(lines)
    if layer.marker:
        ends = stops - 1
        style: dict[str, Any] = {"s": layer.size**2, "marker": layer.marker, "color": layer.colour}
        axes.scatter(layer.x[ends], layer.y[ends], zorder=3, rasterized=many, **style)


def _cells(axes: Axes, layer: Layer, scale: Normalize) -> None:
    columns, rows = layer.x.astype(int), layer.y.astype(int)
    assert layer.values is not None
    table = np.full((rows.max() + 1, columns.max() + 1), np.nan)
    table[rows, columns] = layer.values
    edges = [np.arange(size + 1) - 0.5 for size in table.shape]
    shown = np.ma.masked_invalid(table)
    axes.pcolormesh(edges[1], edges[0], shown, cmap=COLOUR_MAP, norm=scale)
    for x, y, value, text in zip(columns, rows, layer.values, layer.texts, strict=True):
        ink = ink_on(float(scale(value)))
        size = 8 if text.count("\n") < 2 else 7
        axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=size)


def _rules(axes: Axes, layer: Layer, _scale: Normalize) -> None:
    for x in layer.x:
        axes.axvline(x, color=layer.colour, linewidth=0.9, linestyle=":", zorder=0)


_LAYERS: Mapping[str, Callable[[Axes, Layer, Normalize], None]] = {
    "points": _points,
    "line": _line,
    "band": _band,
    "steps": _line,
    "means": _means,
    "intervals": _intervals,
    "curves": _curves,
    "cells": _cells,
    "rules": _rules,
}


def _handle(layer: Layer) -> Line2D:
    line = layer.kind in ("line", "band", "steps", "curves", "means", "intervals")
    dash = ":" if layer.kind == "rules" else layer.dash if line else "none"
    mark = "" if layer.kind in ("means", "rules") else layer.marker
    face = PAPER if layer.hollow else layer.colour
    style: dict[str, Any] = {"color": layer.colour, "linestyle": dash, "marker": mark}
    return Line2D([], [], markersize=5.5, markerfacecolor=face, label=layer.label, **style)


def _colour_bar(figure: Figure, axes: Axes | list[Axes], scale: Normalize, label: str) -> None:
    mappable = mpl.cm.ScalarMappable(scale, COLOUR_MAP)
    bar = figure.colorbar(mappable, ax=axes, label=label, pad=0.02)
    bar.outline.set_visible(False)


def _plot_parallel(chart: Parallel) -> Figure:
    count = len(chart.labels)
    figure, grid = new_figure(max(5.2, 1.25 * count + 1.2), 3.6)
    axes, scale = grid[0, 0], Normalize(*chart.value_limits)
    order = np.argsort(chart.values)  # draw the best last, on top
    many = len(order) > MANY
    colours = mpl.colormaps[COLOUR_MAP](scale(chart.values[order]))
    at = np.arange(count)
    lines = LineCollection(
        [np.column_stack([at, row]) for row in chart.places[order]],
        colors=colours,
        linewidths=0.8 if many else 1.4,
        alpha=0.35 if many else 0.85,
    )
    lines.set_rasterized(many)
    axes.add_collection(lines)
    axes.vlines(at, 0, 1, color=MUTED, linewidth=1.0, zorder=3)
    for place, ticks in enumerate(chart.ticks):
        for height, text in ticks:
            box = {"facecolor": PAPER, "edgecolor": RULE, "boxstyle": "round,pad=0.2"}
            where: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5, "zorder": 4}
            axes.text(place, height, text, bbox=box, **where)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(-0.07, 1.07), yticks=[])
    axes.set_xticks(at, [label.replace(" ", "\n", 1) for label in chart.labels])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _colour_bar(figure, axes, scale, chart.value_label)
    return figure
