"""Draws gray 48×48 faces with numpy: head, eyes, brows, nose and mouth under pose and light."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom

SIDE = 48
CHUNK = 100
"""Faces drawn together; more faces take more memory and are not faster."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class Expressions:
    """The expressions of n faces; each field has (n,) values from 0 (at rest) to about 1 (full)."""

    frown: Floats
    """Inner ends of the brows lowered, with folds between them; negative: raised as in grief."""
    brows_up: Floats
    lids_down: Floats
    """Upper lids lowered; negative: eyes wide open."""
    gaze_away: Floats
    """Eyes turned aside and down."""
    smile: Floats
    """Corners of the mouth up; negative: down."""
    mouth_open: Floats
    lips_pressed: Floats
    """Mouth narrow and thin."""


def draw_faces(expressions: Expressions, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw one face for each expression, with random people, pose, light and noise.

    Returns:
        (n, 48, 48) gray values.
    """
    names = [field.name for field in fields(Expressions)]
    count = len(expressions.frown)
    pictures = []
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        part = {name: getattr(expressions, name)[rows, None, None] for name in names}
        pictures.append(_draw(Expressions(**part), generator))
    return np.concatenate(pictures)


def _draw(expressions: Expressions, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    canvas = _Canvas(len(expressions.frown), generator)
    turn = canvas.vary(-0.16, 0.16)
    skin = _paint_head(canvas, turn)
    _paint_eyes(canvas, expressions, turn, skin)
    _paint_mouth(canvas, expressions, turn, skin)
    _paint_occlusion(canvas)
    return canvas.expose()


class _Canvas:
    """Unfinished pictures of n faces: (n, 48, 48) tones from 0 to 1, in each face's own frame.

    In this frame, the face is upright in the middle; x and y go from about -1 to 1, y downwards.
    """

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._count, self._generator = count, generator
        grid = ((np.arange(SIDE, dtype=np.float32) + 0.5) * 2 / SIDE - 1).astype(np.float32)
        zoom, roll = self.vary(0.95, 1.2), self.vary(-0.15, 0.15)
        right, down = grid - self.vary(-0.09, 0.09), grid[:, None] - self.vary(-0.09, 0.09)
        self.x = (np.cos(roll) * right + np.sin(roll) * down) / zoom
        self.y = (np.cos(roll) * down - np.sin(roll) * right) / zoom
        self._pixel = 2 / SIDE / zoom
        slopes = self.vary(-0.25, 0.25) * self.x + self.vary(-0.25, 0.25) * self.y
        self._tones = self.vary(0.1, 0.9) + slopes + self._blotches()

    def vary(self, low: float, high: float) -> Floats:
        """Draw one (n, 1, 1) value for each face."""
        return self._generator.uniform(low, high, (self._count, 1, 1)).astype(np.float32)

    def _blotches(self) -> Floats:
        """Return a blurred background, so that drawn faces differ as photos do."""
        coarse = self._generator.uniform(-0.35, 0.35, (self._count, SIDE // 8, SIDE // 8))
        blended: Floats = zoom(coarse.astype(np.float32), (1, 8, 8), order=1)
        return blended

    def paint(self, cover: Floats, tone: Floats | float) -> None:
        """Blend a tone into the pixels, in proportion to their cover."""
        self._tones = self._tones + cover * (tone - self._tones)

    def inside(self, distance: Floats) -> Floats:
        """Return the cover of each pixel (0 to 1), given its signed distance from an edge."""
        return np.clip(0.5 - distance / self._pixel, 0, 1)

    def ellipse(
        self, x: Floats | float, y: Floats | float, width: Floats | float, height: Floats | float
    ) -> Floats:
        """Return the cover of ellipses with the given centres and half axes."""
        radius = np.hypot((self.x - x) / width, (self.y - y) / height)
        return self.inside((radius - 1) * np.minimum(width, height))

    def stroke(
        self,
        start: tuple[Floats | float, Floats | float],
        end: tuple[Floats | float, Floats | float],
        half_width: Floats | float,
    ) -> Floats:
        """Return the cover of straight strokes with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        along = (self.x - start[0]) * dx + (self.y - start[1]) * dy
        along = np.clip(along / (dx * dx + dy * dy), 0, 1)
        distance = np.hypot(self.x - start[0] - along * dx, self.y - start[1] - along * dy)
        return self.inside(distance - half_width)

    def expose(self) -> npt.NDArray[np.uint8]:
        """Add light from one side, contrast and noise; return gray values."""
        angle, strength = self.vary(0, 2 * np.pi), self.vary(0, 0.55)
        light = 1 + strength * (np.cos(angle) * self.x + np.sin(angle) * self.y)
        exposed = self.vary(0.45, 1.05) * self._tones * light + self.vary(-0.08, 0.2)
        noise = self._generator.standard_normal(exposed.shape, dtype=np.float32)
        noisy = exposed + self.vary(0.03, 0.06) * noise
        gray: npt.NDArray[np.uint8] = (np.clip(noisy, 0, 1) * 255).round().astype(np.uint8)
        return gray


def _paint_head(canvas: _Canvas, turn: Floats) -> Floats:
    """Paint hair, head and nose; return the tone of the skin."""
    skin, hair = canvas.vary(0.45, 0.95), canvas.vary(0.02, 0.45)
    width, height = canvas.vary(0.56, 0.68), canvas.vary(0.78, 0.92)
    top = canvas.vary(-0.3, -0.1)
    canvas.paint(canvas.ellipse(-turn / 2, top, width + canvas.vary(0.03, 0.2), height), hair)
    face = canvas.ellipse(0.0, 0.0, width, height)
    canvas.paint(face, skin)
    fringe = canvas.ellipse(-turn, -1.0, width, canvas.vary(0.3, 0.5))
    canvas.paint(face * fringe, hair)
    canvas.paint(0.4 * canvas.stroke((turn, -0.1), (1.5 * turn, 0.2), 0.03), 0.5 * skin)
    canvas.paint(0.6 * canvas.ellipse(1.5 * turn, 0.22, 0.11, 0.04), 0.4 * skin)
    return skin


def _paint_eyes(canvas: _Canvas, expressions: Expressions, turn: Floats, skin: Floats) -> None:
    """Paint eyes with lids and brows, and folds between brows that are drawn together."""
    level, apart = canvas.vary(-0.25, -0.15), canvas.vary(0.24, 0.3)
    opening = np.clip(canvas.vary(0.07, 0.1) * (1 - 0.75 * expressions.lids_down), 0.012, 0.17)
    brow = level - canvas.vary(0.15, 0.2) - 0.1 * expressions.brows_up
    dark, thick = canvas.vary(0.02, 0.25), canvas.vary(0.022, 0.045)
    aside = 0.07 * expressions.gaze_away * np.sign(canvas.vary(-1, 1))
    inner, outer = brow + 0.1 * expressions.frown, brow - 0.05 * expressions.frown
    for side in (-1, 1):
        x = side * apart + turn
        eye = canvas.ellipse(x, level, 0.13, opening)
        canvas.paint(canvas.ellipse(x, level - 0.02, 0.145, opening + 0.025), 0.45 * skin)
        canvas.paint(eye, np.maximum(skin, 0.9))
        iris = canvas.ellipse(x + aside, level + 0.04 * np.abs(aside) / 0.07, 0.06, 0.075)
        canvas.paint(eye * iris, 0.05)
        start = (x - side * (0.13 + 0.03 * expressions.frown), inner)
        canvas.paint(canvas.stroke(start, (x + side * 0.15, outer), thick), dark)
    fold = 0.7 * np.clip(expressions.frown, 0, 1)
    for offset in (-0.04, 0.04):
        line = ((turn + offset, brow + 0.02), (turn + 1.3 * offset, brow + 0.16))
        canvas.paint(fold * canvas.stroke(*line, 0.015), 0.4 * skin)


def _paint_mouth(canvas: _Canvas, expressions: Expressions, turn: Floats, skin: Floats) -> None:
    """Paint lips along a parabola; an open mouth is dark and shows teeth."""
    x = canvas.x - 1.2 * turn
    half = canvas.vary(0.2, 0.27) * (1 - 0.3 * expressions.lips_pressed)
    ends = np.abs(x) - half
    bend = 0.13 * expressions.smile * (1 - 2 * (x / half) ** 2)
    middle = canvas.vary(0.42, 0.52) + np.clip(bend, -0.2, 0.2)
    off = np.abs(canvas.y - middle)
    taper = np.sqrt(np.clip(1 - (x / half) ** 2, 0, 1))
    gap = 0.14 * np.clip(expressions.mouth_open, 0, 1.2) * taper
    lips = canvas.vary(0.03, 0.05) * (1 - 0.5 * expressions.lips_pressed)
    canvas.paint(canvas.inside(np.maximum(off - gap - lips, ends)), 0.5 * skin)
    line = np.maximum(off - gap - 0.008, ends)
    canvas.paint(canvas.inside(line), 0.08)
    teeth = np.maximum(np.abs(off - 0.6 * gap) - 0.3 * gap, ends + 0.04)
    canvas.paint(canvas.inside(teeth) * np.clip(gap * 12, 0, 1), 0.85)


def _paint_occlusion(canvas: _Canvas) -> None:
    """Paint glasses on some faces, and a hand or a strand of hair in front of others."""
    wears = canvas.vary(0, 1) < 0.12
    for x in (-0.28, 0.28):
        rim = canvas.ellipse(x, -0.2, 0.22, 0.17) - canvas.ellipse(x, -0.2, 0.19, 0.14)
        canvas.paint(wears * rim, 0.1)
    covers = canvas.vary(0, 1) < 0.2
    angle = canvas.vary(0, 2 * np.pi)
    width, height = canvas.vary(0.1, 0.3), canvas.vary(0.1, 0.3)
    spot = canvas.ellipse(0.75 * np.cos(angle), 0.75 * np.sin(angle), width, height)
    canvas.paint(covers * spot, canvas.vary(0.1, 0.9))
