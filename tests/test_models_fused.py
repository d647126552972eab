"""Members that are trained as one end where each would end alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.build import build_model
from models.checkpoint import load, save
from models.config import TrainConfig
from models.data import DeviceDataset
from models.families.layers import AdaptiveAveragePool
from models.fit import fit, fit_together
from models.fused import FusedDropout, NotFusableError, fuse, join, side_by_side, split
from tests.support.picture_factory import SHAPE, make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

SEEDS = (0, 1, 2)
RESNET = {"family": "resnet", "blocks": 2, "channels": 4, "pool_size": 4, "fc_width": 8}
NETWORKS = {
    "resnet": RESNET,
    "resnet with dropout": {**RESNET, "dropout": 0.3, "kernel_size": 5, "fc_layers": 2},
    "plain, even kernel": {"family": "plain", "channels": 4, "kernel_size": 4, "fc_width": 16},
    "staged": {"family": "staged", "channels": 4, "blocks": 1, "dropout": 0.2},
}
# Sums run in another order, and each step makes a difference larger: a loss agrees to so many
# parts of itself after a few steps of a small rate.
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return DeviceDataset.create(
        make_dataset(soft_labels=rng.dirichlet(np.ones(3), 128).astype(np.float32))
    )


def configs(values, **changes):
    known = {"batch_size": 16, "epochs": 2, "learning_rate": 1e-4}
    return [TrainConfig.create({**known, **values, **changes, "seed": seed}) for seed in SEEDS]


def networks(values):
    made = []
    for config in configs(values):
        torch.manual_seed(config.seed)
        made.append(build_model(config, classes=3, image_shape=SHAPE))
    return made


@pytest.mark.parametrize("values", NETWORKS.values(), ids=NETWORKS)
def test_a_fused_network_computes_what_its_members_do(values):
    members = networks(values)
    fused = fuse(members).eval()
    pictures = torch.randn(len(SEEDS), 6, 1, *SHAPE)
    expected = torch.stack(
        [member.eval()(own) for member, own in zip(members, pictures, strict=True)]
    )
    logits = fused(side_by_side(pictures.flatten(0, 1), len(SEEDS)))
    torch.testing.assert_close(logits, expected)


def test_what_is_joined_can_be_parted_again():
    states = [member.state_dict() for member in networks(RESNET)]
    joined = join(states)
    for place, state in enumerate(states):
        parted = split(joined, place, len(states))
        assert parted.keys() == state.keys()
        assert all(torch.equal(parted[name], state[name]) for name in state)


def assert_ends_alike(together, alone):
    """Compare epochs of members with those of separate trainings."""
    for results, separate in zip(together, zip(*alone, strict=True), strict=True):
        for ours, theirs in zip(results, separate, strict=True):
            for name in ("train_loss", "val_loss"):
                assert ours.values[name] == pytest.approx(
                    theirs.values[name], rel=CLOSE["rtol"], abs=CLOSE["atol"]
                )
            np.testing.assert_allclose(ours.probabilities, theirs.probabilities, **CLOSE)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("values", NETWORKS.values(), ids=NETWORKS)
def test_each_member_ends_where_it_would_alone(data, values, channels_last):
    members = configs(values)
    together = list(fit_together(members, data, channels_last=channels_last))
    assert_ends_alike(together, [list(fit(config, data)) for config in members])


@pytest.mark.parametrize(
    "changes",
    [
        {"mixup": 0.4, "label_smoothing": 0.1, "shift": 0.1, "scale": 0.1},
        {"soft_labels": True, "optimizer": "adamw", "lr_schedule": "one_cycle"},
        {"optimizer": "sgd", "lr_schedule": "cosine", "test_time_flip": True},
        {"batch_size": 15, "head_learning_rate": 1e-3},
        {"image_size": 9, "crop": 0.4},
        {"clip_norm": 0.3, "warmup_epochs": 1},
        {"ema_decay": 0.8},
        {"focal_gamma": 2.0, "label_smoothing": 0.1},
        {"cutmix": 1.0, "mixup": 0.4, "erase": 0.6},
    ],
)
def test_whatever_is_asked_of_a_training_is_done_for_each_member(data, changes):
    members = configs(RESNET, **changes)
    together = list(fit_together(members, data))
    assert_ends_alike(together, [list(fit(config, data)) for config in members])


def test_losses_agree_step_by_step(data):
    """An epoch of one step at a time, so that each loss is looked at."""
    members = configs(RESNET, batch_size=96, epochs=8)
    together = list(fit_together(members, data))
    assert_ends_alike(together, [list(fit(config, data)) for config in members])


def test_folds_that_differ_in_size_are_trained_as_one():
    # 128 pictures in two folds of 65 and 63: 62 or 64 to train on, in five steps of 13 each,
    # of which the last has 10 or 12.
    source = make_dataset()
    folds = np.where(np.arange(128) % 2, 1, 0).astype(np.int8)
    folds[1] = 0
    data = DeviceDataset.create(replace(source, folds=folds))
    members = [
        TrainConfig.create(
            {**RESNET, "dropout": 0.2, "batch_size": 13, "epochs": 2, "fold": fold,
             "learning_rate": 1e-4}
        )
        for fold in (0, 1)
    ]  # fmt: skip
    sizes = {len(data.rows("train", fold, None)) for fold in (0, 1)}
    assert len(sizes) == 2
    together = list(fit_together(members, data))
    assert_ends_alike(together, [list(fit(config, data)) for config in members])
    for result in together[-1]:
        counts = [v for n, v in result.weights().items() if n.endswith("num_batches_tracked")]
        assert counts == [10] * 4  # Steps of both epochs, whichever of them differ in size.


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_members_go_on_from_their_states_as_if_never_interrupted(
    data, tmp_path, optimizer, channels_last
):
    members = configs(NETWORKS["staged"], optimizer=optimizer, ema_decay=0.9)
    whole = list(fit_together(members, data, channels_last=channels_last))
    first = next(fit_together(members, data, channels_last=channels_last))
    for result in first:
        save(tmp_path / f"{result.member}.pt", result.state())
    states = [load(tmp_path / f"{member}.pt") for member in range(len(members))]
    rest = list(fit_together(members, data, states=states, channels_last=channels_last))
    for ours, theirs in zip(rest, whole[1:], strict=True):
        for again, before in zip(ours, theirs, strict=True):
            assert again.values["train_loss"] == before.values["train_loss"]
            assert np.array_equal(again.probabilities, before.probabilities)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_member_s_state_is_one_that_a_training_alone_goes_on_from(data, decay):
    members = configs(RESNET, epochs=3, ema_decay=decay)
    first = next(fit_together(members, data))
    alone = list(fit(members[1], data, state=first[1].state()))
    whole = list(fit(members[1], data))
    assert [result.epoch for result in alone] == [2, 3]
    assert alone[-1].values["val_loss"] == pytest.approx(whole[-1].values["val_loss"], rel=1e-3)


def test_a_member_that_diverges_ends_and_disturbs_no_other(data):
    members = configs(RESNET, epochs=3)
    whole = list(fit_together(members, data))
    results = fit_together(members, data)
    first = next(results)
    loop = first[1]._loop
    with torch.no_grad():
        # As one infinite weight would.
        next(loop.model.parameters()).chunk(len(SEEDS))[1].fill_(float("inf"))
    second, third = next(results), next(results)
    assert [one.member for one in second] == [0, 1, 2]
    assert [one.diverged for one in second] == [False, True, False]
    assert [one.member for one in third] == [0, 2]
    for ours, theirs in zip(third, (whole[2][0], whole[2][2]), strict=True):
        assert ours.values["val_loss"] == theirs.values["val_loss"]


def test_a_network_with_another_layer_is_refused_by_name():
    class Own(nn.Module):
        pass

    with pytest.raises(NotFusableError, match="Own is a layer that cannot be fused"):
        fuse([nn.Sequential(nn.Conv2d(1, 2, 1), Own()) for _ in range(2)])


def test_epochs_of_different_lengths_are_not_trained_as_one():
    folds = np.zeros(128, dtype=np.int8)
    folds[:40] = 1
    data = DeviceDataset.create(replace(make_dataset(), folds=folds))
    members = [TrainConfig.create({**RESNET, "batch_size": 8, "fold": fold}) for fold in (0, 1)]
    with pytest.raises(NotFusableError, match="epochs of 5 and 11 steps"):
        next(fit_together(members, data))


def test_every_property_of_a_layer_is_that_of_its_members():
    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, (3, 2), stride=2, padding=(2, 1), dilation=2),
            nn.BatchNorm2d(4, eps=0.5, momentum=0.4),
            nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False),
            nn.LeakyReLU(0.3),
            nn.Flatten(),
            nn.Linear(6 * 6 * 8, 5, bias=False),
            nn.Dropout(0.0),
            nn.Linear(5, 2),
        ).train()

    members = [network(seed) for seed in SEEDS]
    fused = fuse(members)
    assert fused.training
    assert not fuse([network(seed).eval() for seed in SEEDS]).training
    pictures = torch.randn(len(SEEDS), 6, 1, *SHAPE)
    expected = [member(own) for member, own in zip(members, pictures, strict=True)]
    found = fused(side_by_side(pictures.flatten(0, 1), len(SEEDS)))
    torch.testing.assert_close(found, torch.stack(expected))
    for place, member in enumerate(members):
        parted = split(fused.state_dict(), place, len(SEEDS))
        for name, value in member.state_dict().items():
            torch.testing.assert_close(parted[name], value)


def test_a_diverged_member_stays_so_after_a_restart(data):
    members = configs(RESNET, epochs=3)
    results = fit_together(members, data)
    loop = next(results)[1]._loop
    with torch.no_grad():
        next(loop.model.parameters()).chunk(len(SEEDS))[1].fill_(float("inf"))
    states = [result.state() for result in next(results)]
    assert [state["diverged"] for state in states] == [False, True, False]
    (rest,) = fit_together(members, data, states=states)
    assert [(one.member, one.epoch) for one in rest] == [(0, 3), (2, 3)]


def test_a_member_that_diverged_does_not_come_back(data):
    """Its loss may be finite again, as one on validation may have been infinite for an epoch."""
    results = fit_together(configs(RESNET, epochs=4), data)
    loop = next(results)[1]._loop
    weights = next(loop.model.parameters())
    with torch.no_grad():
        weights.chunk(len(SEEDS))[1].fill_(float("inf"))
    assert next(results)[1].diverged
    with torch.no_grad():
        states = [value for state in loop.optimizer.state.values() for value in state.values()]
        for value in (*loop.model.state_dict().values(), *states):
            value.nan_to_num_(0.0, 0.0, 0.0)
    assert [[one.member for one in epoch] for epoch in results] == [[0, 2], [0, 2]]


def test_a_member_s_state_holds_nothing_of_the_others(data):
    """A view of the fused weights would be written with all of them, and change with them."""
    state = next(fit_together(configs(RESNET), data))[1].state()
    moments = [part for one in state["optimizer"]["state"].values() for part in one.values()]
    for value in (*state["model"].values(), *moments):
        if value.ndim:
            assert value.untyped_storage().nbytes() == value.nbytes


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU(), nn.LeakyReLU(0.3), nn.SiLU(), nn.GELU(), nn.MaxPool2d(2), nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(3), nn.ZeroPad2d((1, 2, 0, 1)), nn.Identity(), nn.Dropout(0.5),
        AdaptiveAveragePool(5, SHAPE),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_every_layer_that_others_may_use_can_be_fused(layer):
    spatial = not isinstance(layer, nn.Dropout)
    parts = [layer, nn.Flatten()] if spatial else [nn.Flatten(), layer]
    networks = [nn.Sequential(nn.Conv2d(1, 2, 1), *parts).eval() for _ in range(2)]
    pictures = torch.randn(2, 3, 1, *SHAPE)
    expected = [network(own) for network, own in zip(networks, pictures, strict=True)]
    found = fuse(networks)(side_by_side(pictures.flatten(0, 1), 2))
    torch.testing.assert_close(found, torch.stack(expected))


def test_dropout_of_members_zeroes_its_share_and_each_draws_its_own():
    network = FusedDropout(0.25)
    network.generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    found = network(torch.ones(2, 100, 80))
    assert found.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    # Four standard errors of 8,000 draws.
    assert (found == 0).float().mean(dim=(1, 2)).tolist() == pytest.approx([0.25] * 2, abs=0.02)
    again = torch.empty(100, 80).bernoulli_(0.75, generator=torch.Generator().manual_seed(4))
    assert torch.equal(found[1] > 0, again > 0)
    assert not torch.equal(found[0], found[1])


class WithOwnWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Conv2d(1, 2, 1), nn.Parameter(torch.ones(1))


class WithOwnBuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1)
        self.register_buffer("scale", torch.ones(1))


class OwnConvolution(nn.Conv2d):
    def __init__(self):
        super().__init__(1, 2, 1)


@pytest.mark.parametrize("kind", [WithOwnWeight, WithOwnBuffer, OwnConvolution])
def test_a_layer_that_may_do_more_than_its_parts_or_its_kind_is_refused(kind):
    with pytest.raises(NotFusableError, match=f"^{kind.__name__} is a layer that cannot be fused"):
        fuse([nn.Sequential(kind()) for _ in range(2)])


def test_a_part_whose_layers_have_no_weights_can_be_fused():
    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.ReLU()

        def forward(self, x):
            return self.layer(x)

    networks = [nn.Sequential(nn.Conv2d(1, 2, 1), Part()) for _ in range(2)]
    pictures = torch.randn(2, 3, 1, *SHAPE)
    expected = [network(own) for network, own in zip(networks, pictures, strict=True)]
    found = fuse(networks)(side_by_side(pictures.flatten(0, 1), 2))
    torch.testing.assert_close(found, torch.cat(expected, dim=1))


@pytest.mark.parametrize("members", [1, 2])
def test_any_number_of_members_adds_its_own_picture_to_its_channels(members):
    networks_of = networks(RESNET)[:members]
    pictures = torch.randn(members, 5, 1, *SHAPE)
    found = fuse(networks_of).eval()(side_by_side(pictures.flatten(0, 1), members))
    expected = [one.eval()(own) for one, own in zip(networks_of, pictures, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_network_is_trained_in_channels_last_unless_the_other_layout_is_asked_for(data):
    config, other = configs({**RESNET, "epochs": 1})[:2]
    (alone,) = fit(config, data)
    (together,) = fit_together([config, other], data, channels_last=False)
    for result, layout in (
        (alone, torch.channels_last),
        *((one, torch.contiguous_format) for one in together),
    ):
        weight = result._loop.model.blocks[1].layers[0].weight
        assert weight.is_contiguous(memory_format=layout)
