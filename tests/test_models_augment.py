import numpy as np
import pytest
import torch
from PIL import Image

from models.augment import (
    MAX_DEGREES,
    _matrices,
    draw_transforms,
    mix_pairs,
    transform_pictures,
)


def _turned(picture, degrees, sign=1.0):
    matrix = _matrices(np.array([sign]), np.array([degrees]), picture.shape)
    return transform_pictures(
        torch.from_numpy(picture)[None, None], torch.from_numpy(matrix)
    ).numpy()[0, 0]


def _smooth_picture(height, width):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return 128 + 60 * np.sin(x / 7) + 60 * np.cos(y / 5)


def test_without_a_turn_the_picture_stays_and_the_flip_is_exact_to_rounding():
    picture = _smooth_picture(20, 28)
    assert np.allclose(_turned(picture, 0.0), picture, atol=1e-3)
    assert np.allclose(_turned(picture, 0.0, sign=-1.0), picture[:, ::-1], atol=1e-3)


@pytest.mark.parametrize("shape", [(48, 48), (40, 56)])
def test_a_turn_is_that_of_pillow_inside_the_picture(shape):
    picture = _smooth_picture(*shape)
    turned = Image.fromarray(picture).rotate(8.0, Image.Resampling.BILINEAR)
    inside = (slice(8, -8), slice(8, -8))
    # Both interpolate linearly; a gray value is up to 188.
    assert np.allclose(_turned(picture, 8.0)[inside], np.asarray(turned)[inside], atol=0.1)


def test_beyond_the_border_the_border_goes_on():
    assert np.allclose(_turned(np.full((48, 48), 99.0, dtype=np.float32), 10.0), 99.0, atol=1e-3)


def test_half_the_pictures_are_flipped_and_all_turned_to_either_side():
    rng = np.random.default_rng(0)
    transforms = draw_transforms("flip_rotate", 4000, (48, 48), rng).numpy()
    degrees = np.degrees(np.arctan2(transforms[:, 1, 0], transforms[:, 1, 1]))
    # Three standard errors of 4,000 draws.
    assert np.mean(np.linalg.det(transforms) < 0) == pytest.approx(0.5, abs=0.024)
    assert np.abs(degrees).max() <= MAX_DEGREES + 1e-3
    assert degrees.mean() == pytest.approx(0, abs=0.28)
    assert degrees.std() == pytest.approx(2 * MAX_DEGREES / 12**0.5, rel=0.05)


def test_flip_turns_nothing_and_none_draws_nothing():
    rng = np.random.default_rng(0)
    transforms = draw_transforms("flip", 100, (48, 48), rng)
    assert torch.equal(transforms.abs(), torch.eye(2).expand(100, 2, 2))
    assert draw_transforms("none", 100, (48, 48), rng) is None


def test_mixing_weighs_a_picture_and_its_partner():
    values = torch.tensor([[0.0, 8.0], [1.0, 2.0], [4.0, 4.0]])
    expected = torch.tensor([[1.0, 7.0], [1.0, 2.0], [3.0, 5.0]])
    assert torch.equal(mix_pairs(values, 0.75), expected)
