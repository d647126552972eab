import pytest
import torch

from models.config import TrainConfig
from models.epoch import EpochPlan, steps

ROWS = torch.arange(100, 150)


def _plan(epoch=1, **values):
    return EpochPlan.draw(TrainConfig.create({"batch_size": 8} | values), epoch, ROWS, (8, 8))


def test_an_epoch_shows_every_picture_once():
    rows = torch.cat([batch.rows for batch in _plan().batches()])
    assert torch.equal(rows.sort().values, ROWS)
    assert not torch.equal(rows, ROWS)


def test_a_last_batch_of_one_picture_is_left_out():
    sizes = [len(batch.rows) for batch in _plan(batch_size=7).batches()]
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
    mixes = [batch.mix for batch in _plan(mixup=1.0).batches()]
    assert all(0.5 <= mix < 1 for mix in mixes)
    assert {batch.mix for batch in _plan().batches()} == {1.0}
