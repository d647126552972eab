from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from fairsweep.errors import UserError
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import EpochPlan
from models.fit import fit
from models.sampling import Sampling, balanced_order, weighted
from tests.support.picture_factory import SHAPE, make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

# Every eighth picture of the training split, but half of validation.
CHILD = np.where(np.arange(128) < 96, np.arange(128) % 8 == 0, np.arange(128) % 2 == 0)
AGES = np.where(CHILD, "child", np.where(np.arange(128) % 2, "adult", ""))
GENDERS = np.where(np.arange(128) % 3 == 0, "female", "male")
TINY = {"family": "plain", "channels": 2, "stages": 1, "batch_size": 16, "epochs": 1}


@pytest.fixture
def data():
    return DeviceDataset.create(replace(make_dataset(), columns={"age": AGES, "gender": GENDERS}))


def sampling(data, **values):
    config = TrainConfig.create({**TINY, **values})
    return config, Sampling.create(config, data.source, data.rows("train"))


def shown(data, monkeypatch, **values):
    """Train an epoch; count how often each picture was put through the network."""
    counts = Counter()
    pictures = DeviceDataset.pictures

    def count(self, rows, *pixels):
        counts.update(rows.tolist())
        return pictures(self, rows, *pixels)

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


def test_a_group_that_no_picture_has_is_refused_before_the_training(data):
    with pytest.raises(UserError, match="nobody"):
        sampling(data, oversample="age=nobody:2")


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


def test_a_training_shows_as_many_pictures_of_each_group_of_balance(data, monkeypatch):
    counts, _ = shown(data, monkeypatch, balance="age", batch_size=12)
    of_ages = Counter()
    for row in data.rows("train").tolist():
        of_ages[AGES[row]] += counts[row]
    assert of_ages == {"child": 32, "adult": 32, "": 32}


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


def test_a_picture_in_two_groups_comes_as_often_as_their_product(data):
    _, made = sampling(data, oversample="age=child:4,gender=female:3")
    counts = Counter(made.rows.tolist())
    for row in range(96):
        times = (4 if CHILD[row] else 1) * (3 if GENDERS[row] == "female" else 1)
        assert counts[row] == times
    assert set(counts) == set(range(96))
    assert made.rows.tolist() == sorted(made.rows.tolist())


def test_weights_are_scaled_by_the_pictures_that_an_epoch_shows(data):
    _, made = sampling(data, sample_weights="age=child:4", oversample="age=child:3")
    # 12 children, three times each, and 84 others.
    mean = (36 * 4 + 84) / 120
    assert made.weights[0].item() == pytest.approx(4 / mean)
    assert made.weights[1].item() == pytest.approx(1 / mean)
    assert made.weights.dtype == torch.float32
    assert len(made.weights) == 128


def test_two_columns_of_balance_make_a_group_of_each_pair(data):
    config, made = sampling(data, balance="age,gender", batch_size=12)
    pairs = [(AGES[row], GENDERS[row]) for row in made.rows.tolist()]
    assert len(set(zip(pairs, made.groups.tolist(), strict=True))) == len(set(pairs)) == 6
    plan = EpochPlan.draw(config, 1, made.rows, SHAPE, made.groups)
    for batch in plan.batches():
        shown = Counter((AGES[row], GENDERS[row]) for row in batch.rows[0].tolist())
        assert shown == Counter(dict.fromkeys(shown, 2))
        assert len(shown) == 6


def test_groups_take_turns_in_an_order_and_with_pictures_of_chance():
    groups = np.array([0] * 9 + [1] * 2 + [2] * 4)
    orders = [balanced_order(groups, np.random.default_rng(seed)) for seed in range(8)]
    for order in orders:
        assert len(order) == 15
        turns = groups[order].reshape(5, 3)
        assert (turns == turns[0]).all()
        counts = [np.bincount(order[groups[order] == group], minlength=15) for group in range(3)]
        # Five of the nine once; both others three and two times; of four, one comes again.
        assert sorted(counts[0][:9].tolist()) == [0] * 4 + [1] * 5
        assert sorted(counts[1][9:11].tolist()) == [2, 3]
        assert sorted(counts[2][11:].tolist()) == [1, 1, 1, 2]
        # None a second time before all others of its group.
        of_four = order[groups[order] == 2]
        assert len(set(of_four[:4].tolist())) == 4
    assert len({tuple(groups[order][:3]) for order in orders}) > 1
    assert len({tuple(order.tolist()) for order in orders}) == 8


def test_turns_that_do_not_come_out_even_leave_the_last_one_short():
    groups = np.array([0] * 5 + [1] * 2 + [2] * 3 + [3])
    order = balanced_order(groups, np.random.default_rng(0))
    assert len(order) == 11
    assert sorted(np.bincount(groups[order]).tolist()) == [2, 3, 3, 3]


def test_smoothing_is_spread_over_all_classes_before_it_is_weighed():
    targets = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    found = weighted(targets, torch.tensor([1.0, 2.0]), 0.2)
    expected = torch.tensor([[0.85, 0.05, 0.05, 0.05], [0.9, 0.9, 0.1, 0.1]])
    assert torch.allclose(found, expected)


def test_a_balanced_order_is_the_same_from_version_to_version():
    """Trials of one id must be trained alike: a draw more or less changes all that follow."""
    groups = np.array([0] * 4 + [1] * 2)
    order = balanced_order(groups, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    first, second = rng.permutation(2)
    of_group = {0: np.arange(4), 1: np.arange(4, 6)}
    columns = {}
    for group in (first, second):
        rounds = {0: 1, 1: 2}[int(group)]  # three turns: of four pictures once, of two twice
        drawn = [rng.permutation(of_group[int(group)]) for _ in range(rounds)]
        columns[int(group)] = np.concatenate(drawn)[:3]
    expected = np.stack([columns[int(first)], columns[int(second)]], axis=1).reshape(-1)
    assert order.tolist() == expected.tolist()
    even = np.array([0, 0, 1, 1])
    used = np.random.default_rng(3)
    balanced_order(even, used)
    rng = np.random.default_rng(3)
    for _ in range(3):  # the order of the groups, and one round of each
        rng.permutation(2)
    assert used.random() == rng.random()


def test_labels_are_smoothed_once_where_they_are_weighed(data):
    data = DeviceDataset.create(
        replace(data.source, columns={"age": np.where(CHILD, "child", "adult")})
    )

    def loss(**values):
        config = TrainConfig.create({**TINY, "label_smoothing": 0.4, **values})
        return next(fit(config, data)).values["train_loss"]

    assert loss(sample_weights="age=child:4,age=adult:4") == pytest.approx(loss(), rel=1e-5)


def test_groups_of_balance_are_those_of_the_fold_s_own_pictures(data):
    rows = data.rows("train", 1)
    made = Sampling.create(TrainConfig.create({**TINY, "balance": "age"}), data.source, rows)
    pairs = set(zip(AGES[rows.numpy()].tolist(), made.groups.tolist(), strict=True))
    assert pairs == {("", 0), ("adult", 1), ("child", 2)}
