"""Boxes that are erased from pictures, or taken from other pictures."""

import numpy as np
import pytest
import torch

from models.boxes import cut_pairs, draw_erased, draw_mixing, erase
from models.config import TrainConfig


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(shape=(20, 40), count=20_000, **values):
    return draw_erased(TrainConfig(**values), count, shape, rng()).double().numpy()


def test_nothing_is_drawn_for_what_is_off():
    generator = rng()
    assert draw_erased(TrainConfig(), 5, (8, 8), generator) is None
    mixing = draw_mixing(TrainConfig(), 5, generator)
    assert mixing.cuts is None
    assert mixing.weights.tolist() == [1] * 5
    assert generator.bit_generator.state == rng().bit_generator.state


def test_as_many_pictures_are_erased_as_asked_for_and_boxes_lie_inside():
    boxes = drawn(erase=0.3)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides > 0).all(axis=1).mean() == pytest.approx(0.3, abs=0.01)
    assert boxes.min() >= 0
    assert boxes.max() <= 1 + 1e-6
    assert (drawn(erase=1.0)[:, 2:] > drawn(erase=1.0)[:, :2]).all()


def test_erased_boxes_have_the_areas_and_ratios_of_the_paper():
    width, height = (drawn(erase=1.0)[:, 2:] - drawn(erase=1.0)[:, :2]).T
    areas = width * height
    whole = (width < 1 - 1e-6) & (height < 1 - 1e-6)
    assert areas.min() >= 0.02 - 1e-6
    assert areas[whole].max() == pytest.approx(0.4, abs=0.005)
    # In pixels, of pictures twice as wide as high.
    ratios = np.log(2 * width / height)[whole & (areas < 0.1)]
    assert np.abs(ratios).max() == pytest.approx(np.log(1 / 0.3), abs=0.01)
    assert ratios.mean() == pytest.approx(0, abs=0.02)


def test_a_box_is_erased_to_the_mean_and_the_rest_stays():
    pictures = torch.arange(1, 49).float().view(2, 2, 3, 4)
    before = pictures.clone()
    # The second box is empty.
    found = erase(pictures, torch.tensor([[0.25, 1 / 3, 0.75, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    assert (found[0, :, 1:, 1:3] == 0).all()
    found[0, :, 1:, 1:3] = before[0, :, 1:, 1:3]
    assert torch.equal(found, before)


def test_a_pixel_on_the_first_edge_of_a_box_is_in_it_and_one_on_the_last_is_not():
    # Pixels of 4×4 have their centres at 1/8, 3/8, 5/8 and 7/8.
    found = erase(torch.ones(1, 1, 4, 4), torch.tensor([[1 / 8, 3 / 8, 5 / 8, 7 / 8]]))
    assert found[0, 0].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]]


def test_each_member_cuts_its_own_box_out_of_the_partners():
    pictures = torch.arange(2 * 3 * 1 * 2 * 4).float().view(2, 3, 1, 2, 4)
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]])
    found, left = cut_pairs(pictures, boxes)
    assert left.tolist() == [0.75, 1.0]
    assert torch.equal(found[1], pictures[1])
    for place in range(3):
        assert torch.equal(found[0, place, :, :1, :2], pictures[0, 2 - place, :, :1, :2])
        assert torch.equal(found[0, place, :, 1:], pictures[0, place, :, 1:])
        assert torch.equal(found[0, place, :, :, 2:], pictures[0, place, :, :, 2:])


def test_the_area_of_cutmix_follows_the_beta_distribution_before_it_is_clipped():
    boxes = draw_mixing(TrainConfig(cutmix=1.0), 20_000, rng()).cuts.double().numpy()
    sides = boxes[:, 2:] - boxes[:, :2]
    inside = ((boxes > 0) & (boxes < 1)).all(axis=1)
    assert np.allclose(sides[inside][:, 0], sides[inside][:, 1], atol=1e-6)
    # Centres are uniform: the mean side of the clipped box is E[r - r²/4] with r² uniform.
    assert sides.mean() == pytest.approx(2 / 3 - 1 / 8, abs=0.005)
    assert ((boxes >= 0) & (boxes <= 1)).all()


def test_a_step_uses_mixup_or_cutmix():
    weights, boxes = draw_mixing(TrainConfig(cutmix=1.0, mixup=0.4), 4_000, rng())
    cut = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    assert cut.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (weights[cut] == 1).all()
    assert weights[~cut].mean() < 0.95
    alone = draw_mixing(TrainConfig(mixup=0.4), 4_000, rng()).weights
    assert torch.equal(weights[~cut], alone[~cut])
