"""Figures: what to draw, and the SVG and PNG files of the result."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.drawing.chart import Chart, Parallel
from analysis.drawing.plot import plot
from analysis.drawing.style import RC

PNG_DOTS_PER_INCH = 160


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One figure that has not been drawn yet."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    """What the figure shows, with n."""
    draw: Callable[[], Figure]
    chart: Chart | Parallel | None = None
    """The chart that ``draw`` draws, if the page can draw it interactively."""
    aside: bool = False
    """Whether a page shows it only to readers who ask for more."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One figure as SVG text and PNG bytes."""

    drawing: Drawing
    svg: str
    png: bytes

    def write(self, directory: Path) -> None:
        """Write ``NAME.svg`` and ``NAME.png`` into ``directory``."""
        (directory / f"{self.drawing.name}.svg").write_text(self.svg, encoding="utf-8")
        (directory / f"{self.drawing.name}.png").write_bytes(self.png)


def charted(
    *, name: str, title: str, caption: str, chart: Chart | Parallel, aside: bool = False
) -> Drawing:
    """Return a drawing that plots ``chart``."""
    draw = partial(plot, chart)
    return Drawing(name=name, title=title, caption=caption, draw=draw, chart=chart, aside=aside)


def render(drawing: Drawing) -> Drawn:
    """Draw a figure. The same data always give the same bytes."""
    settings: Any = {**RC, "svg.hashsalt": drawing.name}
    with mpl.rc_context(settings):
        figure = drawing.draw()
        svg, png = BytesIO(), BytesIO()
        # Use the canvases directly: `savefig` would draw each file twice.
        figure.set_dpi(PNG_DOTS_PER_INCH)
        pixels: Any = FigureCanvasAgg(figure)
        pixels.print_png(png, pil_kwargs={"compress_level": 3})
        figure.set_layout_engine("none")  # keep the layout of this file for the other
        figure.patch.set_visible(False)
        lines: Any = FigureCanvasSVG(figure)
        lines.print_svg(svg, metadata={"Date": None})
    return Drawn(drawing=drawing, svg=svg.getvalue().decode(), png=png.getvalue())


def file_stem(text: str) -> str:
    """Replace the characters of ``text`` that a file name should not have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "figure"
