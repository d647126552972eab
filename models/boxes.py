"""Random boxes in training pictures: parts that are erased, or taken from another picture."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.config import TrainConfig

ERASED_AREAS = (0.02, 0.4)
"""Smallest and largest share of a picture that is erased."""
MAX_ERASED_RATIO = 1 / 0.3
"""Largest ratio of the sides of what is erased."""


class Mixing(NamedTuple):
    """How the pairs of each step are mixed."""

    weights: Tensor
    """(steps,) mixup weight of each picture against its partner, from 0.5 to 1."""
    cuts: Tensor | None
    """(steps, 4) box that CutMix takes from the partner, empty where mixup is used; None without
    CutMix."""


def draw_mixing(config: TrainConfig, steps: int, rng: np.random.Generator) -> Mixing:
    """Draw how pairs are mixed; with both mixup and CutMix, each step uses one or the other.

    The box of CutMix has sides of sqrt(1 - λ) of the picture's, with λ from a Beta distribution,
    around a centre anywhere in the picture (Yun et al. 2019, "CutMix", section 3.1). What lies
    outside of the picture is left out.
    """
    weights = np.ones(steps)
    if config.mixup > 0:
        weights = rng.beta(config.mixup, config.mixup, steps)
    cuts = None
    if config.cutmix > 0:
        reach = np.sqrt(1 - rng.beta(config.cutmix, config.cutmix, steps)) / 2
        centres = rng.random((2, steps))
        if config.mixup > 0:
            cut = rng.random(steps) < 0.5
            weights, reach = np.where(cut, 1, weights), np.where(cut, reach, 0)
        cuts = _boxes(np.clip(centres - reach, 0, 1), np.clip(centres + reach, 0, 1))
    # Pairs are unordered, so the label with the larger weight can always come first.
    return Mixing(torch.from_numpy(np.maximum(weights, 1 - weights)).float(), cuts)


def draw_erased(
    config: TrainConfig, count: int, image_shape: tuple[int, int], rng: np.random.Generator
) -> Tensor | None:
    """Draw a box to erase in each of ``count`` pictures: (count, 4), or None without erasing.

    A picture is erased with the probability ``erase``. The share of its area and the ratio of the
    box's sides are uniform (the latter in its logarithm), the place is uniform among those inside
    the picture (Zhong et al. 2020, "Random Erasing Data Augmentation", algorithm 1; a box that
    would exceed one side keeps all of it, instead of being drawn again). Other boxes are empty.
    """
    if config.erase == 0:
        return None
    aspect, most = image_shape[0] / image_shape[1], math.log(MAX_ERASED_RATIO)
    erased = rng.random(count) < config.erase
    areas = rng.uniform(*ERASED_AREAS, count) * erased
    ratios = np.exp(rng.uniform(-most, most, count))
    sides = np.minimum(1, np.sqrt([areas * ratios * aspect, areas / ratios / aspect]))
    first = rng.random((2, count)) * (1 - sides)
    return _boxes(first, first + sides)


def erase(pictures: Tensor, boxes: Tensor) -> Tensor:
    """Set a box of each normalised picture to 0, the mean of the training pictures, in place.

    Args:
        pictures: (n, channels, height, width).
        boxes: (n, 4), of `draw_erased`.
    """
    return pictures.masked_fill_(_inside(boxes, pictures)[:, None], 0)


def cut_pairs(pictures: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Take a box of each picture from its partner: the first from the last, and so on.

    Args:
        pictures: (members, b, channels, height, width).
        boxes: (members, 4), of `draw_mixing`.

    Returns:
        The pictures, and (members,) the share of each that is left, which is its labels' weight.
    """
    inside = _inside(boxes, pictures)
    cut = torch.where(inside[:, None, None], pictures.flip(1), pictures)
    return cut, 1 - inside.float().mean(dim=(1, 2))


def _boxes(first: npt.NDArray[np.float64], last: npt.NDArray[np.float64]) -> Tensor:
    """Return (k, 4) left, top, right and bottom, as shares of a picture's width and height.

    Args:
        first: (2, k) left and top.
        last: (2, k) right and bottom.
    """
    return torch.from_numpy(np.concatenate((first, last)).T.astype(np.float32))


def _inside(boxes: Tensor, pictures: Tensor) -> Tensor:
    """Return (k, height, width) whether the centre of a pixel of ``pictures`` is in each box."""
    height, width = pictures.shape[-2:]
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    x = (torch.arange(width, device=boxes.device) + 0.5) / width
    y = (torch.arange(height, device=boxes.device) + 0.5) / height
    columns, rows = (x >= left) & (x < right), (y >= top) & (y < bottom)
    return rows[:, :, None] & columns[:, None, :]
