"""What a chart shows, apart from how it is drawn (plot.py: on paper, templates/charts: a page)."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.drawing.style import BLUE

Floats = npt.NDArray[np.float64]
NUMBERS = {"<f4": "f32", "<i2": "i16"}
"""Numpy's name of a kind of number → that of the page."""
Kind = Literal["points", "line", "steps", "means", "intervals", "curves", "cells", "rules"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a panel."""

    label: str
    """In words, with the unit."""
    names: tuple[str, ...] = ()
    """Names of the places 0, 1, … where the axis has names for numbers."""
    log: bool = False
    whole: bool = False
    """True if only whole numbers make sense."""
    limits: tuple[float, float] | None = None
    reversed: bool = False
    """True if the first place stands on top."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """Marks of one kind and look; arrays have an entry per mark, in the units of the axes.

    Kinds: ``points``; ``line`` (points joined); ``steps`` (a value holds until the next);
    ``means`` (a bar across a named place); ``intervals`` (points with whiskers along x);
    ``curves`` (many lines, see ``starts``, a mark at the end of each); ``cells`` (a heat map on
    named places); ``rules`` (dotted vertical lines).
    """

    kind: Kind
    x: Floats
    y: Floats
    label: str = ""
    """What the legend calls it; empty keeps it out of the legend."""
    low: Floats | None = None
    """Lower ends of whiskers, with ``high``: along x for ``intervals``, along y otherwise."""
    high: Floats | None = None
    values: Floats | None = None
    """Where given, colours on the colour scale of the panel."""
    starts: npt.NDArray[np.int64] | None = None
    """Index of the first point of each curve."""
    trials: npt.NDArray[np.int64] | None = None
    """Number of the trial of each mark (of each curve), by which the page names it."""
    texts: tuple[str, ...] = ()
    """Words for each mark: written into cells, told on pointing at others."""
    colour: str = BLUE
    marker: str = "o"
    """Of matplotlib: o s ^ D v P X |, or empty for none."""
    dash: Any = "-"
    hollow: bool = False
    size: float = 5.0
    """Diameter of a mark in points."""
    alpha: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes."""

    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    value_label: str = ""
    """What the colours mean where a layer has values."""
    value_limits: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Panels side by side."""

    panels: tuple[Panel, ...]
    columns: int = 2
    """Most panels in a row."""
    panel_size: tuple[float, float] = (4.6, 3.1)
    """Width and height of a panel in inches."""
    legend_title: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parallel:
    """Parallel coordinates: a vertical axis per quantity, a line per trial."""

    labels: tuple[str, ...]
    ticks: tuple[tuple[tuple[float, str], ...], ...]
    """For each axis its places (0 bottom, 1 top) and their texts."""
    places: Floats
    """(trials, axes) places from 0 to 1; NaN where a quantity does not belong to a trial."""
    values: Floats
    """(trials,) the figure that colours a line."""
    value_label: str
    value_limits: tuple[float, float]
    trials: npt.NDArray[np.int64]
    """(trials,) numbers of the trials."""


def float_array(values: Any) -> Floats:
    """Return ``values`` as floats, a missing one as NaN."""
    if hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy(dtype=float, na_value=np.nan), float)
    return np.asarray(values, float)


def to_plain(value: Any) -> Any:
    """Turn a chart into what JSON can hold; arrays become base64 of little-endian numbers.

    Those of 32 bits keep seven digits, more than a screen shows, in 5.4 characters; small whole
    numbers, such as epochs, take half of that.
    """
    if is_dataclass(value):
        plain = {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
        return {name: part for name, part in plain.items() if not _is_default(part)}
    if isinstance(value, np.ndarray):
        kind = "<i2" if _is_small_whole(value) else "<f4"
        return {NUMBERS[kind]: base64.b64encode(value.astype(kind).tobytes()).decode()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: to_plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_plain(part) for part in value]
    return value


def _is_small_whole(values: npt.NDArray[Any]) -> bool:
    return bool(np.all((values == np.round(values)) & (np.abs(values) < 2**15)))


def _is_default(part: Any) -> bool:
    """Tell what need not be written: nothing, no text, no entries, not so."""
    return part is None or part is False or (isinstance(part, str | list) and not part)
