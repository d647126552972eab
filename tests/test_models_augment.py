import numpy as np
import pytest
import torch
from PIL import Image

from models.augment import (
    _matrices,
    draw_transforms,
    mix_pairs,
    transform_pictures,
)
from models.config import TrainConfig


def _turned(picture, degrees, sign=1.0, size=1.0, shift=(0.0, 0.0)):
    one = [np.array([value]) for value in (sign, degrees, size)]
    matrix = _matrices(*one, np.array(shift)[:, None], picture.shape)
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


def test_a_shift_moves_right_and_down_by_its_share_of_the_picture():
    picture = _smooth_picture(20, 40)
    moved = _turned(picture, 0.0, shift=(0.1, 0.25))
    assert np.allclose(moved[5:, 4:], picture[:-5, :-4], atol=1e-2)


@pytest.mark.parametrize("size", [0.8, 1.25])
def test_a_change_of_size_is_that_of_pillow(size):
    picture = _smooth_picture(40, 56)
    height, width = picture.shape
    # What Pillow's affine transform maps a place in the result to, in pixels.
    matrix = (1 / size, 0, width / 2 * (1 - 1 / size), 0, 1 / size, height / 2 * (1 - 1 / size))
    resized = Image.fromarray(picture).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    inside = (slice(8, -8), slice(8, -8))
    assert np.allclose(
        _turned(picture, 0.0, size=size)[inside], np.asarray(resized)[inside], atol=0.1
    )


def test_a_picture_is_turned_before_it_is_moved():
    picture = _smooth_picture(48, 48)
    turned = _turned(picture, 8.0, size=1.1)
    moved = _turned(picture, 8.0, size=1.1, shift=(0.125, 0.0))
    assert np.allclose(moved[8:-8, 14:-8], turned[8:-8, 8:-14], atol=1.5)


def test_beyond_the_border_the_border_goes_on():
    assert np.allclose(_turned(np.full((48, 48), 99.0, dtype=np.float32), 10.0), 99.0, atol=1e-3)


def test_half_the_pictures_are_flipped_and_all_turned_to_either_side():
    rng = np.random.default_rng(0)
    transforms = draw_transforms(TrainConfig(), 4000, (48, 48), rng).numpy()
    degrees = np.degrees(np.arctan2(transforms[:, 1, 0], transforms[:, 1, 1]))
    # Three standard errors of 4,000 draws.
    assert np.mean(np.linalg.det(transforms[:, :, :2]) < 0) == pytest.approx(0.5, abs=0.024)
    assert np.abs(degrees).max() == pytest.approx(10, abs=0.05)
    assert degrees.mean() == pytest.approx(0, abs=0.28)
    assert degrees.std() == pytest.approx(20 / 12**0.5, rel=0.05)


def test_flip_turns_nothing_and_none_draws_nothing():
    rng = np.random.default_rng(0)
    transforms = draw_transforms(TrainConfig(augmentation="flip"), 100, (48, 48), rng)
    assert torch.equal(transforms.abs(), torch.eye(2, 3).expand(100, 2, 3))
    # x is turned round, y is not: a mirror image, not a picture upside down.
    assert set(transforms[:, 0, 0].tolist()) == {1.0, -1.0}
    assert torch.equal(transforms[:, 1, 1], torch.ones(100))
    assert draw_transforms(TrainConfig(augmentation="none"), 100, (48, 48), rng) is None


def test_shifts_and_sizes_fill_their_ranges_and_leave_the_turns_as_they_were():
    config = TrainConfig(shift=0.1, scale=0.2)
    plain, both = (
        draw_transforms(c, 4000, (48, 48), np.random.default_rng(0)).numpy()
        for c in (TrainConfig(), config)
    )
    sizes = np.abs(np.linalg.det(both[:, :, :2])) ** -0.5
    assert (sizes.min(), sizes.max()) == pytest.approx((0.8, 1.2), abs=0.002)
    assert sizes.std() == pytest.approx(0.4 / 12**0.5, rel=0.05)
    moves = -np.linalg.solve(both[:, :, :2], both[:, :, 2:])[:, :, 0] / 2
    assert (moves.min(), moves.max()) == pytest.approx((-0.1, 0.1), abs=0.002)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.05
    assert np.allclose(both[:, :, :2] * sizes[:, None, None], plain[:, :, :2], atol=1e-5)


def test_mixing_weighs_a_picture_and_its_partner():
    values = torch.tensor([[0.0, 8.0], [1.0, 2.0], [4.0, 4.0]])
    expected = torch.tensor([[1.0, 7.0], [1.0, 2.0], [3.0, 5.0]])
    both = mix_pairs(torch.stack((values, values)), torch.tensor([0.75, 1.0]))
    assert torch.equal(both[0], expected)
    assert torch.equal(both[1], values)


def test_flip_flips_the_pictures_that_flip_rotate_flips():
    flip, both = (
        draw_transforms(
            TrainConfig(augmentation=name), 50, (40, 56), np.random.default_rng(3)
        ).numpy()
        for name in ("flip", "flip_rotate")
    )
    assert np.array_equal(flip[:, 0, 0] < 0, both[:, 0, 0] < 0)


@pytest.mark.parametrize("values", [{"shift": 0.2}, {"scale": 0.2}])
def test_shift_and_scale_need_no_flip_and_no_turn(values):
    config = TrainConfig.create({"augmentation": "none", **values})
    transforms = draw_transforms(config, 50, (40, 56), np.random.default_rng(3)).numpy()
    assert np.array_equal(transforms[:, 0, 1], np.zeros(50))
    assert np.array_equal(transforms[:, 1, 0], np.zeros(50))
    assert (transforms[:, 0, 0] > 0).all()
    of_its_size = np.allclose(transforms[:, 0, 0], 1)
    stays = np.allclose(transforms[:, :, 2], 0)
    assert (of_its_size, stays) == ("shift" in values, "scale" in values)


def _corners(transform):
    """Where the corners of the result lie in the picture: lowest and highest x, then y."""
    corners = np.array([[x, y, 1] for x in (-1, 1) for y in (-1, 1)]).T
    x, y = transform @ corners
    return x.min(), x.max(), y.min(), y.max()


def test_a_crop_lies_in_the_picture_and_keeps_enough_of_it():
    config = TrainConfig(augmentation="none", crop=0.3)
    shape = (40, 56)
    transforms = draw_transforms(config, 4000, shape, np.random.default_rng(3)).numpy()
    assert (np.abs(transforms) <= 1 + 1e-6).all()
    x_low, x_high, y_low, y_high = np.array([_corners(each) for each in transforms]).T
    assert min(x_low.min(), y_low.min()) >= -1 - 1e-6
    assert max(x_high.max(), y_high.max()) <= 1 + 1e-6
    widths, heights = (x_high - x_low) / 2, (y_high - y_low) / 2
    areas = widths * heights
    inside = (widths < 1) & (heights < 1)
    assert areas.max() > 0.95
    # What would exceed a side is cut off there, so only other crops have the areas that are drawn.
    assert 0.3 - 1e-6 <= areas[inside].min() < 0.31
    ratios = (widths * shape[1]) / (heights * shape[0])
    assert ratios[inside].min() == pytest.approx(3 / 4, abs=0.01)
    assert ratios[inside].max() == pytest.approx(4 / 3, abs=0.01)
    # They lie anywhere: as often to the left as to the right, above as below.
    middles = (x_low + x_high)[inside], (y_low + y_high)[inside]
    assert all(abs((middle > 0).mean() - 0.5) < 0.03 for middle in middles)


def test_a_crop_shows_its_part_of_the_picture():
    picture = _smooth_picture(40, 56)
    config = TrainConfig(augmentation="none", crop=0.5)
    transform = draw_transforms(config, 1, picture.shape, np.random.default_rng(5))
    found = transform_pictures(torch.from_numpy(picture)[None, None], transform)[0, 0].numpy()
    x_low, x_high, y_low, y_high = _corners(transform[0].numpy())
    box = ((x_low + 1) * 28, (y_low + 1) * 20, (x_high + 1) * 28, (y_high + 1) * 20)
    expected = Image.fromarray(picture).resize((56, 40), Image.Resampling.BILINEAR, box=box)
    inside = (slice(4, -4), slice(4, -4))
    assert np.allclose(found[inside], np.asarray(expected)[inside], atol=0.5)


def test_a_crop_leaves_flips_and_turns_as_they_are_drawn():
    plain, cropped = (
        draw_transforms(TrainConfig(crop=crop), 50, (40, 56), np.random.default_rng(3)).numpy()
        for crop in (1.0, 0.5)
    )
    assert np.array_equal(plain[:, 0, 0] < 0, cropped[:, 0, 0] < 0)
    assert not np.allclose(plain, cropped)


def test_a_picture_is_flipped_before_it_is_turned():
    picture = _smooth_picture(40, 56)
    inside = (slice(8, -8), slice(8, -8))
    expected = Image.fromarray(picture[:, ::-1].copy()).rotate(8.0, Image.Resampling.BILINEAR)
    found = _turned(picture, 8.0, sign=-1.0)
    assert np.allclose(found[inside], np.asarray(expected)[inside], atol=0.1)
