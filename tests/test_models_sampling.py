from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import EpochPlan
from models.fit import fit
from models.sampling import Sampling, weighted
from tests.picture_factory import SHAPE, make_dataset

CHILD = np.arange(128) % 8 == 0
AGES = np.where(CHILD, "child", np.where(np.arange(128) % 2, "adult", ""))
TINY = {"family": "plain", "channels": 2, "conv_depth": 1, "batch_size": 16, "epochs": 1}


@pytest.fixture
def data():
    return DeviceDataset.create(replace(make_dataset(), columns={"age": AGES}))


def sampling(data, **values):
    config = TrainConfig.create({**TINY, **values})
    return config, Sampling.create(config, data.source, data.rows("train"))


def shown(data, monkeypatch, **values):
    """Train an epoch; count how often each picture was put through the network."""
    counts = Counter()
    pictures = DeviceDataset.pictures

    def count(self, rows):
        counts.update(rows.tolist())
        return pictures(self, rows)

    monkeypatch.setattr(DeviceDataset, "pictures", count)
    result = next(fit(TrainConfig.create({**TINY, **values}), data))
    return counts, result


@pytest.mark.parametrize("fold", [None, 1])
def test_only_training_pictures_are_repeated(data, monkeypatch, fold):
    counts, result = shown(data, monkeypatch, oversample="age=child:4", fold=fold)
    train, val = (set(data.source.rows(split, fold).tolist()) for split in ("train", "val"))
    assert train | val == set(counts)
    assert {counts[row] for row in train if CHILD[row]} == {4}
    assert {counts[row] for row in train if not CHILD[row]} == {1}
    assert {counts[row] for row in val} == {1}
    assert len(result.probabilities) == len(val)


def test_an_oversampled_epoch_depends_on_seed_and_epoch_and_nothing_else(data):
    config, made = sampling(data, oversample="age=child:3")
    plans = [EpochPlan.draw(config, epoch, made.rows, SHAPE).rows for epoch in (1, 1, 2)]
    assert torch.equal(plans[0], plans[1])
    assert not torch.equal(plans[0], plans[2])


def test_without_groups_the_rows_are_the_split_s_own(data):
    _, made = sampling(data)
    assert torch.equal(made.rows, data.rows("train"))
    assert made.groups is None
    assert made.weights is None


def test_balanced_batches_hold_equal_shares_of_each_group(data):
    config, made = sampling(data, balance="age", batch_size=12)
    plan = EpochPlan.draw(config, 1, made.rows, SHAPE, made.groups)
    batches = [Counter(AGES[batch.rows[0].numpy()].tolist()) for batch in plan.batches()]
    assert batches == [Counter({"child": 4, "adult": 4, "": 4})] * 8
    of_child = Counter(row for row in plan.rows.tolist() if CHILD[row])
    assert set(of_child) == set(data.rows("train")[CHILD[:96]].tolist())
    assert max(of_child.values()) - min(of_child.values()) <= 1
    again = EpochPlan.draw(config, 1, made.rows, SHAPE, made.groups)
    assert torch.equal(plan.rows, again.rows)


def test_weights_have_the_mean_one_over_the_training_pictures(data):
    _, made = sampling(data, sample_weights="age=child:4")
    assert made.weights[data.rows("train")].mean().item() == pytest.approx(1)
    ratio = made.weights[CHILD].mean() / made.weights[~CHILD].mean()
    assert ratio.item() == pytest.approx(4)


def test_weighted_targets_give_the_weighted_cross_entropy():
    torch.manual_seed(0)
    logits, labels, weights = torch.randn(6, 3), torch.randint(3, (6,)), torch.rand(6)
    targets = functional.one_hot(labels, 3).float()
    ours = functional.cross_entropy(logits, weighted(targets, weights, 0.1))
    each = functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    assert ours.item() == pytest.approx((weights * each).mean().item(), rel=1e-5)


def test_weights_change_the_training_and_one_weight_for_all_does_not(data):
    def loss(**values):
        return next(fit(TrainConfig.create({**TINY, **values}), data)).values["train_loss"]

    everyone = "age=child:4,age=adult:4"
    data = DeviceDataset.create(
        replace(data.source, columns={"age": np.where(CHILD, "child", "adult")})
    )
    assert loss(sample_weights=everyone) == pytest.approx(loss(), rel=1e-5)
    assert loss(sample_weights="age=child:4") != pytest.approx(loss(), rel=1e-3)


def test_first_weights_are_those_of_the_checkpoint(data):
    config = TrainConfig.create({**TINY, "learning_rate": 1e-9})
    weights = next(fit(replace(config, seed=1), data)).weights()
    after = next(fit(config, data, initial=weights)).weights()
    fresh = next(fit(config, data)).weights()
    name = next(iter(weights))
    assert torch.allclose(after[name], weights[name], atol=1e-6)
    assert not torch.allclose(fresh[name], weights[name], atol=1e-3)
