"""Renders a figure as a PNG file that explains itself."""

from collections.abc import Callable
from io import BytesIO
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fairsweep.drawing.style import INK, RC

DOTS_PER_INCH = 160
CHARACTERS_PER_INCH = 17
"""Line width of the caption."""


def png(draw: Callable[[], Figure], caption: str) -> bytes:
    """Draw a figure with its caption below it; return the bytes of the PNG file."""
    settings: Any = RC
    with mpl.rc_context(settings):
        figure = draw()
        width = figure.get_size_inches()[0]
        lines = wrap(caption, int(width * CHARACTERS_PER_INCH))
        figure.set_figheight(figure.get_figheight() + 0.16 * len(lines) + 0.1)
        figure.supxlabel("\n".join(lines), x=0.012, ha="left", fontsize=8, color=INK)
        figure.set_dpi(DOTS_PER_INCH)
        file = BytesIO()
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(file)
    return file.getvalue()
