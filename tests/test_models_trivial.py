"""TrivialAugment's operations, beside torchvision's."""

import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from models.augment import draw_transforms, transform_pictures
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import EpochPlan
from models.fit import fit
from models.trivial import (
    MOST_DEGREES,
    MOST_PIXELS,
    OPERATIONS,
    STRENGTHS,
    Operations,
    change_pixels,
    draw_operations,
)
from tests.support.picture_factory import SHAPE, make_dataset

GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


def pictures(channels=3, *, low=20, high=200):
    """Return smooth pictures, each with another range of values."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(4, channels, 6, 8, generator=generator)
    large = torch.nn.functional.interpolate(small, (24, 32), mode="bicubic").clamp(0, 1)
    return torch.round(low + (high - low) * large)


def operation(name, strength, sign=1.0, count=4):
    kind = OPERATIONS.index(name)
    return Operations(
        kinds=np.full(count, kind), strengths=np.full(count, strength), signs=np.full(count, sign)
    )


def by_torchvision(name, images, strength, sign):
    whole = images.to(torch.uint8)
    factor = 1 + 0.99 * sign * strength
    changed = {
        "identity": lambda: whole,
        "brightness": lambda: reference.adjust_brightness(whole, factor),
        "colour": lambda: reference.adjust_saturation(whole, factor),
        "contrast": lambda: reference.adjust_contrast(whole, factor),
        "sharpness": lambda: reference.adjust_sharpness(whole, factor),
        "posterize": lambda: reference.posterize(whole, 8 - round(6 * strength)),
        "solarize": lambda: reference.solarize(whole, 255 * (1 - strength)),
        "autocontrast": lambda: reference.autocontrast(whole),
        "equalize": lambda: reference.equalize(whole),
    }[name]()
    return changed.float()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("strength", "sign"), [(0.0, 1.0), (0.5, -1.0), (0.7, 1.0), (1.0, -1.0)])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in GEOMETRIC])
def test_pixels_change_as_by_torchvision_up_to_its_rounding(name, strength, sign, channels):
    images = pictures(channels)
    expected = by_torchvision(name, images, strength, sign)
    found = change_pixels(images, operation(name, strength, sign).changes())
    # Torchvision rounds down to whole values, for some operations twice.
    assert (found - expected).min() >= -1
    assert (found - expected).max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_pixels_stay_from_0_to_255(name, channels):
    for sign in (-1.0, 1.0):
        images = pictures(channels, low=0, high=255)
        found = change_pixels(images, operation(name, 0.9, sign).changes())
        assert 0 <= found.min() < found.max() <= 255


@pytest.mark.parametrize(("strength", "expected"), [(0.0, [0, 128, 0]), (1.0, [255, 127, 0])])
def test_a_pixel_of_just_the_threshold_is_solarized(strength, expected):
    images = torch.tensor([0.0, 128.0, 255.0]).expand(1, 1, 3, 3)
    found = change_pixels(images, operation("solarize", strength, count=1).changes())
    assert found[0, 0, 0].tolist() == expected
    assert torch.equal(found, reference.solarize(images.to(torch.uint8), 255 * (1 - strength)))


def test_each_picture_gets_its_own_operation():
    images = pictures()
    kinds = [OPERATIONS.index(name) for name in ("identity", "equalize", "solarize", "sharpness")]
    mixed = Operations(kinds=np.array(kinds), strengths=np.full(4, 0.6), signs=np.ones(4))
    found = change_pixels(images, mixed.changes())
    assert torch.equal(found[0], images[0])
    for place, name in ((1, "equalize"), (2, "solarize"), (3, "sharpness")):
        alone = change_pixels(images, operation(name, 0.6).changes())
        torch.testing.assert_close(found[place], alone[place])


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_a_picture_of_one_value_stays(name):
    flat = torch.full((4, 3, 24, 32), 77.0)
    assert torch.equal(change_pixels(flat, operation(name, 1.0).changes()), flat)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_geometric_operations_leave_pixel_values(name):
    images = pictures()
    assert torch.equal(change_pixels(images, operation(name, 1.0).changes()), images)


def inside(images):
    return images[:, :, 9:15, 12:20]


def moved(name, strength, sign, *, flipped=False):
    """Return pictures after the operation, all flipped before it or none."""
    config = TrainConfig.create({"augmentation": "trivial"})

    class NoChance:
        def random(self, count):
            return np.zeros(count) if flipped else np.ones(count)

        def uniform(self, *_ends):
            return np.zeros(4)

    transforms = draw_transforms(config, 4, (24, 32), NoChance(), operation(name, strength, sign))
    return transform_pictures(pictures(), transforms)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(
    ("name", "strength", "affine"),
    [
        ("rotate", 0.2, {"angle": -0.2 * MOST_DEGREES}),
        ("translate_x", 0.125, {"translate": [0.125 * MOST_PIXELS, 0]}),
        ("translate_y", 0.125, {"translate": [0, 0.125 * MOST_PIXELS]}),
        ("shear_x", 0.3, {"shear": [math.degrees(math.atan(0.3 * 0.99)), 0]}),
        ("shear_y", 0.3, {"shear": [0, math.degrees(math.atan(0.3 * 0.99))]}),
    ],
)
def test_pictures_move_as_by_torchvision_away_from_their_border(
    name, strength, affine, sign, flipped
):
    signed = {
        key: [sign * each for each in value] if isinstance(value, list) else sign * value
        for key, value in affine.items()
    }
    expected = reference.affine(
        pictures().flip(3) if flipped else pictures(),
        **{"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **signed},
        interpolation=reference.InterpolationMode.BILINEAR,
    )
    torch.testing.assert_close(
        inside(moved(name, strength, sign, flipped=flipped)), inside(expected), atol=0.5, rtol=0
    )


def test_operations_strengths_and_directions_are_uniform():
    drawn = draw_operations(140_000, np.random.default_rng(0))
    shares = np.bincount(drawn.kinds, minlength=len(OPERATIONS)) / len(drawn.kinds)
    np.testing.assert_allclose(shares, 1 / len(OPERATIONS), atol=0.003)
    values, counts = np.unique(drawn.strengths, return_counts=True)
    np.testing.assert_allclose(values, np.linspace(0, 1, STRENGTHS))
    np.testing.assert_allclose(counts / counts.sum(), 1 / STRENGTHS, atol=0.003)
    assert abs(drawn.signs.mean()) < 0.01
    assert set(drawn.signs) == {-1.0, 1.0}


def test_other_augmentations_draw_what_they_drew():
    rows = torch.arange(96)
    plain = EpochPlan.draw(TrainConfig.create({"augmentation": "flip"}), 1, rows, SHAPE)
    trivial = EpochPlan.draw(TrainConfig.create({"augmentation": "trivial"}), 1, rows, SHAPE)
    assert plain.changes is None
    assert trivial.changes.shape == (96, 3)
    assert torch.equal(plain.rows, trivial.rows)


def test_batches_have_the_operations_of_their_pictures():
    config = TrainConfig.create({"augmentation": "trivial", "batch_size": 40})
    plan = EpochPlan.draw(config, 1, torch.arange(96), SHAPE)
    batches = list(plan.batches())
    assert torch.equal(torch.cat([batch.changes for batch in batches]), plan.changes)
    joined = batches[0].join(batches[:2])
    assert torch.equal(joined.changes, plan.changes[:80])
    assert torch.equal(batches[1].first(3).changes, plan.changes[40:43])


@pytest.mark.usefixtures("one_thread")
def test_a_network_trains_on_changed_pictures():
    values = {"family": "plain", "channels": 4, "stages": 1, "fc_width": 8, "epochs": 2, "seed": 1}
    data = DeviceDataset.create(make_dataset())
    losses = {}
    for augmentation in ("flip", "trivial"):
        config = TrainConfig.create({**values, "augmentation": augmentation})
        losses[augmentation] = [result.values["train_loss"] for result in fit(config, data)]
    assert losses["flip"] != losses["trivial"]
    config = TrainConfig.create({**values, "augmentation": "trivial"})
    again = [result.values["train_loss"] for result in fit(config, data)]
    assert again == losses["trivial"]
