"""What a chart shows, independent of how it is drawn.

`analysis.drawing.plot` draws it with matplotlib; the scripts in `rendering/templates/charts` draw
it in the browser.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.drawing.style import BLUE

Floats = npt.NDArray[np.float64]
NUMBERS = {"<f4": "f32", "<i2": "i16"}
"""NumPy type of an array → the key under which the page's scripts find it."""
Kind = Literal["points", "line", "band", "steps", "means", "intervals", "curves", "cells", "rules"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a panel."""

    label: str
    """Quantity and unit."""
    names: tuple[str, ...] = ()
    """Category names at the positions 0, 1, …; empty for a numeric axis."""
    log: bool = False
    whole: bool = False
    """Whether only whole numbers make sense as ticks."""
    limits: tuple[float, float] | None = None
    reversed: bool = False
    """Whether position 0 is at the top."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """Marks of one kind and style. Arrays have one entry per mark, in the units of the axes.

    Kinds: ``points``; ``line`` (points joined); ``band`` (a line in the
    filled area between ``low`` and ``high``); ``steps`` (a value holds until the next one);
    ``means`` (a bar across a category); ``intervals`` (points with whiskers along x); ``curves``
    (many lines, see ``starts``, with a mark at the end of each); ``cells`` (a heat map over
    categories); ``rules`` (dotted vertical lines).
    """

    kind: Kind
    x: Floats
    y: Floats
    label: str = ""
    """Legend entry; an empty label has none."""
    low: Floats | None = None
    """Lower ends of the whiskers, with ``high``: along x for ``intervals``, along y otherwise."""
    high: Floats | None = None
    values: Floats | None = None
    """Values that the panel's colour scale turns into colours, if given."""
    starts: npt.NDArray[np.int64] | None = None
    """Index of the first point of each curve."""
    trials: npt.NDArray[np.int64] | None = None
    """Trial number of each mark (of each curve); the page shows that trial's name on hover."""
    texts: tuple[str, ...] = ()
    """Text of each mark: written into ``cells``, shown on hover for other kinds."""
    colour: str = BLUE
    marker: str = "o"
    """A matplotlib marker: o s ^ D v P X |, or empty for none."""
    dash: Any = "-"
    hollow: bool = False
    size: float = 5.0
    """Diameter of a mark in points."""
    alpha: float = 1.0
    width: float | None = None
    """Width of a ``line`` in points, if it is not the usual one."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes."""

    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    value_label: str = ""
    """Label of the colour scale, if a layer has ``values``."""
    value_limits: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Panels side by side."""

    panels: tuple[Panel, ...]
    columns: int = 2
    """Maximum number of panels in a row."""
    panel_size: tuple[float, float] = (4.6, 3.1)
    """Width and height of a panel in inches."""
    legend_title: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parallel:
    """Parallel coordinates: one vertical axis per quantity, one line per trial."""

    labels: tuple[str, ...]
    ticks: tuple[tuple[tuple[float, str], ...], ...]
    """Ticks of each axis: position (0 bottom, 1 top) and text."""
    places: Floats
    """(trials, axes) positions from 0 to 1; NaN where a trial does not have the quantity."""
    values: Floats
    """(trials,) value that sets the colour of each line."""
    value_label: str
    value_limits: tuple[float, float]
    trials: npt.NDArray[np.int64]
    """(trials,) trial numbers."""


def float_array(values: Any) -> Floats:
    """Return ``values`` as floats, with NaN for missing values."""
    if hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy(dtype=float, na_value=np.nan), float)
    return np.asarray(values, float)


def to_plain(value: Any) -> Any:
    """Convert a chart to JSON types; arrays become base64 of little-endian numbers.

    A 32-bit float keeps seven digits, more than a screen shows, in 5.4 characters. Small whole
    numbers, such as epochs, are stored as 16-bit integers and take half of that.
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
    """Return whether ``part`` is None, False or empty, which the scripts assume by default."""
    return part is None or part is False or (isinstance(part, str | list) and not part)
