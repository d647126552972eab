import pytest
import torch

from models.config import TrainConfig
from models.epoch import Batch, EpochPlan, steps

ROWS = torch.arange(100, 150)


def _plan(epoch=1, **values):
    return EpochPlan.draw(TrainConfig.create({"batch_size": 8} | values), epoch, ROWS, (8, 8))


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
