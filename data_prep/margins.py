"""Finds and removes the margin of one colour that some collections have around their pictures."""

import numpy as np
import numpy.typing as npt

MARGIN_TOLERANCE = 8
"""Values by which the pixels of a margin may differ, because of lossy compression."""
MARGIN_SLACK = 2
"""Pixels by which the widths of a margin's sides may differ; the rest belongs to the picture."""


def without_margin(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return (height, width) or (height, width, 3) pixels without the margin of one colour.

    A margin is on all four sides and has about the same width on each. So a picture whose own edge
    has the margin's colour keeps this edge. A picture without a margin is returned unchanged.
    """
    # Most pictures have no margin, as their edges show.
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    first = pixels[0, 0].astype(np.int16)
    if any((np.abs(edge.astype(np.int16) - first) > MARGIN_TOLERANCE).any() for edge in edges):
        return pixels
    differ = np.abs(pixels.astype(np.int16) - pixels[0, 0]) > MARGIN_TOLERANCE
    inside = differ.any(axis=2) if differ.ndim == 3 else differ
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return pixels
    height, width = inside.shape
    sides = np.array([rows[0], height - 1 - rows[-1], columns[0], width - 1 - columns[-1]])
    top, bottom, left, right = np.minimum(sides, sides.min() + MARGIN_SLACK)
    return pixels[top : height - bottom, left : width - right]
