from dataclasses import replace

import numpy as np
import pytest
import torch

from models.config import TrainConfig
from models.epoch import Batch, EpochPlan, seed_of, steps, used
from models.trivial import OPERATIONS

ROWS = torch.arange(100, 150)


def _plan(epoch=1, shape=(8, 8), **values):
    return EpochPlan.draw(TrainConfig.create({"batch_size": 8} | values), epoch, ROWS, shape)


def test_an_epoch_shows_every_picture_once():
    rows = torch.cat([batch.rows for batch in _plan().batches()], dim=1)[0]
    assert torch.equal(rows.sort().values, ROWS)
    assert not torch.equal(rows, ROWS)


def test_a_last_batch_of_one_picture_is_left_out():
    sizes = [batch.pictures for batch in _plan(batch_size=7).batches()]
    assert sizes == [7] * 7
    assert steps(50, 7) == 7
    assert steps(50, 8) == 7


def test_one_picture_is_no_training_set():
    with pytest.raises(ValueError, match="at least 2 pictures, but got 1"):
        steps(1, 8)


def test_a_plan_depends_on_seed_and_epoch_and_nothing_else():
    assert torch.equal(_plan(epoch=2).rows, _plan(epoch=2).rows)
    assert not torch.equal(_plan(epoch=2).rows, _plan(epoch=1).rows)
    assert not torch.equal(_plan(epoch=2).rows, _plan(epoch=2, seed=1).rows)


def test_mixup_weighs_the_first_picture_of_a_pair_at_least_half():
    mixes = [batch.mix.item() for batch in _plan(mixup=1.0).batches()]
    assert all(0.5 <= mix < 1 for mix in mixes)
    assert {batch.mix.item() for batch in _plan().batches()} == {1.0}


def test_batches_of_equal_size_stand_side_by_side():
    plans = [_plan(seed=seed, mixup=0.4) for seed in (0, 1)]
    for parts in zip(*(plan.batches() for plan in plans), strict=True):
        joined = Batch.join(parts)
        for member, part in enumerate(parts):
            assert torch.equal(joined.rows[member], part.rows[0])
            assert joined.mix[member] == part.mix
            transforms = joined.transforms.unflatten(0, joined.rows.shape)[member]
            assert torch.equal(transforms, part.transforms)


BOXES = {"cutmix": 1.0, "erase": 0.5}


def test_boxes_go_with_their_steps_and_pictures():
    plans = [_plan(seed=seed, **BOXES) for seed in (0, 1)]
    for step, parts in enumerate(zip(*(plan.batches() for plan in plans), strict=True)):
        joined = Batch.join(parts)
        for member, plan in enumerate(plans):
            pictures = slice(8 * step, 8 * step + 8)
            erased = joined.erased.unflatten(0, joined.rows.shape)[member]
            assert torch.equal(erased, plan.erased[pictures])
            assert torch.equal(joined.cuts[member], plan.mixing.cuts[step])
    first = next(plans[0].batches()).first(3)
    assert torch.equal(first.erased, plans[0].erased[:3])


def test_boxes_leave_the_other_draws_as_they_are():
    plain, boxed = _plan(mixup=0.4, shift=0.1), _plan(mixup=0.4, shift=0.1, **BOXES)
    assert torch.equal(plain.rows, boxed.rows)
    assert torch.equal(plain.transforms, boxed.transforms)
    erased = _plan(mixup=0.4, shift=0.1, erase=0.5)
    assert torch.equal(plain.mixing.weights, erased.mixing.weights)


@pytest.mark.parametrize("augmentation", ["flip", "flip_rotate"])
def test_the_draws_of_an_epoch_stay_what_they_are_from_version_to_version(augmentation):
    """Frozen: else a sweep that goes on with a newer version trains its replicates otherwise."""
    plan = _plan(epoch=3, seed=11, mixup=0.4, shift=0.1, scale=0.2, augmentation=augmentation)
    rng = np.random.default_rng([11, 3])
    assert plan.rows.tolist() == (100 + rng.permutation(50)).tolist()
    flips, degrees = rng.random(50) < 0.5, rng.uniform(-10, 10, 50)
    sizes, (right, down) = rng.uniform(0.8, 1.2, 50), rng.uniform(-0.1, 0.1, (2, 50))
    mixes = rng.beta(0.4, 0.4, 7)
    transforms = plan.transforms.double().numpy()
    assert np.array_equal(np.linalg.det(transforms[:, :, :2]) < 0, flips)
    turned = np.degrees(np.arctan2(transforms[:, 1, 0], transforms[:, 1, 1]))
    assert np.allclose(turned, degrees if augmentation == "flip_rotate" else 0, atol=1e-4)
    assert np.allclose(np.abs(np.linalg.det(transforms[:, :, :2])) ** -0.5, sizes, atol=1e-5)
    # The picture's centre, from -1 to 1, is moved by its share of the two units of the picture.
    centres = np.stack((2 * right, 2 * down), axis=1)[:, :, None]
    back = transforms[:, :, :2] @ centres + transforms[:, :, 2:]
    assert np.allclose(back, 0, atol=1e-5)
    assert np.allclose(plan.mixing.weights, np.maximum(mixes, 1 - mixes), atol=1e-6)


def test_operations_and_boxes_stay_what_they_are_from_version_to_version():
    """Frozen, as the draws above; 0.3 gives both Beta distributions another form than 1."""
    values = {"mixup": 0.3, "cutmix": 0.3, "erase": 0.4, "shift": 0.1, "augmentation": "trivial"}
    plan = _plan(epoch=3, seed=11, shape=(6, 9), **values)
    assert OPERATIONS == (
        "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
        "colour", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
    )  # fmt: skip
    rng = np.random.default_rng([11, 3])
    rng.permutation(50)
    kinds, strengths = rng.integers(14, size=50), rng.integers(31, size=50) / 30
    signs = np.where(rng.random(50) < 0.5, -1, 1)
    assert np.allclose(plan.changes, np.stack((kinds, strengths, signs), axis=1))
    flips, _unused_turns = rng.random(50) < 0.5, rng.uniform(-10, 10, 50)
    assert np.array_equal(np.linalg.det(plan.transforms[:, :, :2].double()) < 0, flips)
    shifts = rng.uniform(-0.1, 0.1, (2, 50))
    for axis, name in enumerate(("translate_x", "translate_y")):
        shifts[axis] += (
            32 / (9, 6)[axis] * np.where(kinds == OPERATIONS.index(name), signs * strengths, 0)
        )
    unsheared = ~np.isin(kinds, [OPERATIONS.index(name) for name in ("shear_x", "shear_y")])
    centres = (2 * shifts.T[:, :, None])[unsheared]
    transforms = plan.transforms.double().numpy()[unsheared]
    assert np.allclose(transforms[:, :, :2] @ centres + transforms[:, :, 2:], 0, atol=1e-5)
    cosines = np.cos(np.radians(135 * np.where(kinds == 5, strengths, 0)))[unsheared]
    assert np.allclose(transforms[:, 1, 1], cosines, atol=1e-6)
    mixes, reach = rng.beta(0.3, 0.3, 7), np.sqrt(1 - rng.beta(0.3, 0.3, 7)) / 2
    places, cut = rng.random((2, 7)), rng.random(7) < 0.5
    reach = np.where(cut, reach, 0)
    cuts = np.concatenate((places - reach, places + reach)).clip(0, 1).T
    assert np.allclose(plan.mixing.cuts, cuts, atol=1e-6)
    assert np.allclose(plan.mixing.weights, np.where(cut, 1, np.maximum(mixes, 1 - mixes)))
    erased, most = rng.random(50) < 0.4, np.log(1 / 0.3)
    areas, ratios = rng.uniform(0.02, 0.4, 50) * erased, np.exp(rng.uniform(-most, most, 50))
    sides = np.sqrt([areas * ratios * 6 / 9, areas / ratios * 9 / 6]).clip(max=1)
    first = rng.random((2, 50)) * (1 - sides)
    assert np.allclose(plan.erased, np.concatenate((first, first + sides)).T, atol=1e-6)


def test_crops_stay_what_they_are_and_are_taken_before_the_picture_is_turned():
    """Frozen, as the draws above."""
    values = {"epoch": 3, "seed": 11, "shift": 0.1, "scale": 0.2}
    plain, cropped = (
        _plan(**values, crop=crop).transforms.double().numpy() for crop in (1.0, 0.92)
    )
    rng = np.random.default_rng([11, 3])
    rng.permutation(50)
    rng.random(50 * (1 + 1 + 1 + 2))  # flips, turns, sizes and shifts
    areas = rng.uniform(0.92, 1, 50)
    ratios = np.exp(rng.uniform(-np.log(4 / 3), np.log(4 / 3), 50))
    shares = np.sqrt([areas * ratios, areas / ratios]).clip(max=1).T
    centres = rng.uniform(-1, 1, (2, 50)).T * (1 - shares)
    expected = plain * shares[:, :, None]
    expected[:, :, 2] += centres
    assert np.allclose(cropped, expected, atol=1e-6)


def test_seeds_of_torch_stay_what_they_are_from_version_to_version():
    """Frozen: the first weights and the dropout of every trial are drawn from them."""
    seeds = [seed_of(TrainConfig(seed=seed), epoch) for seed, epoch in ((0, 0), (11, 0), (11, 3))]
    assert seeds == [7896617691693857887, 1963352424536679345, 8244733302435856172]


@pytest.mark.parametrize(
    ("count", "batch_size", "of_them", "in_steps"),
    [(2, 2, 2, 1), (16, 8, 16, 2), (17, 8, 16, 2), (18, 8, 18, 3), (5, 8, 5, 1), (9, 8, 8, 1)],
)
def test_all_pictures_are_used_but_one_that_would_be_alone(count, batch_size, of_them, in_steps):
    assert used(count, batch_size) == of_them
    assert steps(count, batch_size) == in_steps


def test_batches_take_pictures_and_transforms_in_the_order_of_the_plan():
    plan = _plan(mixup=0.4)
    batches = list(plan.batches())
    assert [batch.pictures for batch in batches] == [8] * 6 + [2]
    assert torch.equal(torch.cat([batch.rows[0] for batch in batches]), plan.rows)
    assert torch.equal(torch.cat([batch.transforms for batch in batches]), plan.transforms)
    assert torch.equal(torch.cat([batch.mix for batch in batches]), plan.mixing.weights)


def test_the_first_pictures_of_a_batch_keep_their_transforms():
    batch = next(_plan(mixup=0.4).batches())
    first = batch.first(3)
    assert torch.equal(first.rows, batch.rows[:, :3])
    assert torch.equal(first.transforms, batch.transforms[:3])
    assert torch.equal(first.mix, batch.mix)
    gathered = replace(batch, pixels=torch.arange(8).view(8, 1, 1)).first(3)
    assert gathered.pixels.flatten().tolist() == [0, 1, 2]
    assert next(_plan(augmentation="none").batches()).first(3).transforms is None


def test_the_generator_of_an_epoch_orders_balanced_groups_too():
    groups = np.arange(50) % 2
    plans = [
        EpochPlan.draw(TrainConfig(seed=seed, batch_size=8), epoch, ROWS, (8, 8), groups).rows
        for seed, epoch in ((0, 1), (1, 1), (0, 2))
    ]
    assert not torch.equal(plans[0], plans[1])
    assert not torch.equal(plans[0], plans[2])
