"""Networks get pictures transformed, reduced and normalised, the same however many at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.augment import draw_transforms, transform_pictures
from models.config import TrainConfig
from models.data import DeviceDataset
from models.input_size import resize
from models.network_input import network_input
from models.trivial import OPERATIONS, Operations, change_pixels
from tests.support.picture_factory import SHAPE, make_dataset

HALF = SHAPE[0] // 2, SHAPE[1] // 2


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_pictures_handled_in_parts_are_those_of_the_whole_batch(monkeypatch, at_once):
    data = DeviceDataset.create(make_dataset())
    rows = torch.tensor([5, 0, 3, 3, 1, 8, 2])
    rng = np.random.default_rng(0)
    transforms = draw_transforms(TrainConfig.create({}), len(rows), SHAPE, rng)
    pictures = torch.from_numpy(data.source.pixels)[rows].float()[:, None]
    expected = data.normalise(resize(transform_pictures(pictures, transforms), HALF))
    monkeypatch.setattr("models.network_input.NUMBERS_TOGETHER", at_once * SHAPE[0] * SHAPE[1])
    together, resized = [], resize
    monkeypatch.setattr(
        "models.network_input.resize",
        lambda part, shape: together.append(len(part)) or resized(part, shape),
    )
    for pixels in (None, data.gather(rows)):
        found = network_input(data, rows, HALF, transforms=transforms, pixels=pixels)
        torch.testing.assert_close(found, expected)
    assert together == 2 * {1: [1] * 7, 3: [3, 3, 1], 100: [7]}[at_once]


def test_a_picture_that_is_larger_than_a_part_is_handled_by_itself(monkeypatch):
    monkeypatch.setattr("models.network_input.NUMBERS_TOGETHER", 5)
    data = DeviceDataset.create(make_dataset())
    rows = torch.tensor([1, 0])
    expected = data.normalise(data.pictures(rows))
    assert torch.equal(network_input(data, rows, SHAPE), expected)


@pytest.mark.parametrize("at_once", [2, 100])
def test_pixel_values_change_before_a_picture_is_moved(monkeypatch, at_once):
    data = DeviceDataset.create(make_dataset())
    rows, rng = torch.tensor([5, 0, 3, 1, 8, 2]), np.random.default_rng(1)
    operations = Operations(
        kinds=np.array(
            [OPERATIONS.index(name) for name in ("equalize", "solarize", "sharpness")] * 2
        ),
        strengths=np.linspace(0.3, 0.9, 6),
        signs=np.ones(6),
    )
    transforms = draw_transforms(TrainConfig(), len(rows), SHAPE, rng)
    pictures = change_pixels(data.pictures(rows), operations.changes())
    expected = data.normalise(resize(transform_pictures(pictures, transforms), HALF))
    monkeypatch.setattr("models.network_input.NUMBERS_TOGETHER", at_once * SHAPE[0] * SHAPE[1])
    found = network_input(data, rows, HALF, transforms=transforms, changes=operations.changes())
    torch.testing.assert_close(found, expected)


def test_a_colour_counts_as_a_number_of_its_own(monkeypatch):
    monkeypatch.setattr("models.network_input.NUMBERS_TOGETHER", 6 * SHAPE[0] * SHAPE[1])
    gray = make_dataset()
    manifest = replace(gray.manifest, channels=3, mean=(0.5,) * 3, std=(0.2,) * 3)
    pixels = np.repeat(gray.pixels[..., None], 3, axis=3)
    data = DeviceDataset.create(replace(gray, manifest=manifest, pixels=pixels))
    together, resized = [], resize
    monkeypatch.setattr(
        "models.network_input.resize",
        lambda part, shape: together.append(len(part)) or resized(part, shape),
    )
    assert network_input(data, torch.arange(5), HALF).shape == (5, 3, *HALF)
    assert together == [2, 2, 1]
