"""TrivialAugment: one random operation of random strength for each training picture.

Müller and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", with
the operations and strengths of its wide search space. Shears are about the centre of a picture, and
pixels from outside repeat its border.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
    "colour", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
STRENGTHS = 31
"""Number of strengths from 0 to the largest."""
MOST_SHEAR = 0.99
MOST_PIXELS = 32
"""Largest translation in pixels."""
MOST_DEGREES = 135
MOST_CHANGE = 0.99
"""Largest change of the factors of brightness, colour, contrast and sharpness, 1 by default."""
FEWEST_BITS = 2
"""Bits that the strongest `posterize` keeps."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""
_LEVELS = 256
_CENTRE_WEIGHT, _NEIGHBOURS = 5, 8
"""Weight of a pixel in the smoothing filter, and its number of neighbours, each of weight 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Operations:
    """The operation of each picture."""

    kinds: npt.NDArray[np.int64]
    """(n,) indices in `OPERATIONS`."""
    strengths: npt.NDArray[np.float64]
    """(n,) from 0 to 1."""
    signs: npt.NDArray[np.float64]
    """(n,) -1 or 1, of operations that have two directions."""

    def signed(self, name: str) -> npt.NDArray[np.float64]:
        """Return the (n,) signed strengths of the pictures with this operation, 0 for others."""
        return np.where(self.kinds == OPERATIONS.index(name), self.signs * self.strengths, 0.0)

    def changes(self) -> Tensor:
        """Return the (n, 3) kinds, strengths and signs for `change_pixels`."""
        return torch.from_numpy(np.stack((self.kinds, self.strengths, self.signs), axis=1)).float()


def draw_operations(count: int, rng: np.random.Generator) -> Operations:
    """Draw the operation of each of ``count`` pictures."""
    return Operations(
        kinds=rng.integers(len(OPERATIONS), size=count),
        strengths=rng.integers(STRENGTHS, size=count) / (STRENGTHS - 1),
        signs=np.where(rng.random(count) < 0.5, -1.0, 1.0),
    )


def change_pixels(pictures: Tensor, changes: Tensor) -> Tensor:
    """Apply the operations that change pixel values; others leave their pictures as they are.

    Args:
        pictures: (n, channels, height, width) float, whole numbers from 0 to 255.
        changes: (n, 3) of `Operations.changes`.

    Returns:
        (n, channels, height, width) float, from 0 to 255.
    """
    kinds, strengths, signs = changes.unbind(1)
    places = pictures.flatten(2).long()
    tables = _tables(pictures, places, changes)
    changed = tables.gather(2, places).view_as(pictures)
    factors = (1 + MOST_CHANGE * signs * strengths).view(-1, 1, 1, 1)
    if pictures.shape[1] == len(LUMA):
        chosen = _is(kinds, "colour")
        changed = torch.where(chosen, _away_from(_gray(pictures), pictures, factors), changed)
    sharpened = _away_from(_smooth(pictures), pictures, factors)
    return torch.where(_is(kinds, "sharpness"), sharpened, changed)


def _tables(pictures: Tensor, places: Tensor, changes: Tensor) -> Tensor:
    """Return the (n, channels, 256) new value of each value that a pixel can have.

    Args:
        pictures: (n, channels, height, width).
        places: (n, channels, height·width) their values as whole numbers.
        changes: (n, 3) of `Operations.changes`.
    """
    kinds, strengths, signs = changes.unbind(1)
    count, channels = pictures.shape[:2]
    levels = torch.arange(_LEVELS, device=pictures.device, dtype=torch.float32)
    tables = levels.expand(count, channels, -1)
    factors = (1 + MOST_CHANGE * signs * strengths).view(-1, 1, 1)
    means = _gray(pictures).mean(dim=(1, 2, 3)).view(-1, 1, 1)
    dropped = 2 ** torch.round(strengths.view(-1, 1, 1) * (8 - FEWEST_BITS))
    threshold = (_LEVELS - 1) * (1 - strengths.view(-1, 1, 1))
    for name, values in (
        ("brightness", levels * factors),
        ("contrast", means + factors * (levels - means)),
        ("posterize", levels.div(dropped, rounding_mode="floor") * dropped),
        ("solarize", torch.where(levels < threshold, levels, _LEVELS - 1 - levels)),
        ("autocontrast", _stretched(places, levels)),
        ("equalize", _equalized(places, levels)),
    ):
        tables = torch.where(_is(kinds, name)[..., 0], values.clamp(0, _LEVELS - 1), tables)
    return tables


def _stretched(places: Tensor, levels: Tensor) -> Tensor:
    """Return tables that map the smallest value of each channel to 0 and the largest to 255."""
    low, high = places.aminmax(dim=2, keepdim=True)
    stretched = (levels - low) * (_LEVELS - 1) / (high - low).clamp(min=1)
    return torch.where(high > low, stretched, levels)


def _equalized(places: Tensor, levels: Tensor) -> Tensor:
    """Return tables that make the values of each channel about equally frequent."""
    counts = torch.zeros(*places.shape[:2], _LEVELS, device=places.device)
    counts.scatter_add_(2, places, torch.ones_like(places, dtype=counts.dtype))
    largest = places.amax(dim=2, keepdim=True)
    # The most frequent step that still maps the largest value to 255.
    step = (places.shape[2] - counts.gather(2, largest)).div(_LEVELS - 1, rounding_mode="floor")
    below = counts.cumsum(dim=2) - counts
    equal = (below + step.div(2, rounding_mode="floor")).div(
        step.clamp(min=1), rounding_mode="floor"
    )
    return torch.where(step > 0, equal, levels)


def _is(kinds: Tensor, name: str) -> Tensor:
    """Return (n, 1, 1, 1) whether each picture has this operation."""
    return (kinds == OPERATIONS.index(name)).view(-1, 1, 1, 1)


def _gray(pictures: Tensor) -> Tensor:
    """Return the (n, 1, height, width) brightness of gray or colour pictures."""
    if pictures.shape[1] == 1:
        return pictures
    weights = torch.tensor(LUMA, device=pictures.device).view(1, -1, 1, 1)
    return (pictures * weights).sum(dim=1, keepdim=True)


def _smooth(pictures: Tensor) -> Tensor:
    """Return pictures smoothed over 3×3 pixels, except at their borders."""
    sums = functional.avg_pool2d(pictures, 3, stride=1, divisor_override=1)
    more = (_CENTRE_WEIGHT - 1) * pictures[:, :, 1:-1, 1:-1]
    smooth = pictures.clone()
    smooth[:, :, 1:-1, 1:-1] = (sums + more) / (_CENTRE_WEIGHT + _NEIGHBOURS)
    return smooth


def _away_from(start: Tensor, pictures: Tensor, factors: Tensor) -> Tensor:
    return (start + factors * (pictures - start)).clamp(0, _LEVELS - 1)
