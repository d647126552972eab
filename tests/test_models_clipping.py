"""The norm of each member's gradient is limited, and no other member's norm counts."""

import pytest
import torch
from torch import nn

from models.clipping import clip_gradients
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import fit
from tests.support.picture_factory import make_dataset


def network(scale):
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3))
    for number, parameter in enumerate(model.parameters()):
        drawn = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
        parameter.grad = scale * drawn
    return model


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_one_network_is_clipped_as_torch_does(scale):
    ours, theirs = network(scale), network(scale)
    clip_gradients(ours.parameters(), 2.0)
    nn.utils.clip_grad_norm_(theirs.parameters(), 2.0)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_each_member_is_clipped_by_its_own_norm():
    members = [network(0.01), network(30.0), network(float("inf"))]
    fused = nn.ParameterList(
        nn.Parameter(torch.cat([p.detach() for p in parts]).contiguous(memory_format=layout))
        for parts in zip(*(member.parameters() for member in members), strict=True)
        for layout in [torch.channels_last if parts[0].ndim == 4 else torch.contiguous_format]
    )
    for parameter, parts in zip(
        fused, zip(*(member.parameters() for member in members), strict=True), strict=True
    ):
        gradient = torch.cat([part.grad for part in parts])
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    clip_gradients(fused, 2.0, members=3)
    for number, member in enumerate(members[:2]):
        before = [parameter.grad.clone() for parameter in member.parameters()]
        nn.utils.clip_grad_norm_(member.parameters(), 2.0)
        unchanged = [
            torch.equal(p.grad, b) for p, b in zip(member.parameters(), before, strict=True)
        ]
        assert all(unchanged) == (number == 0)
        for parameter, own in zip(fused, member.parameters(), strict=True):
            assert torch.equal(parameter.grad.chunk(3)[number], own.grad)


@pytest.mark.parametrize("limit", [0.001, 1.0])
def test_a_limit_of_one_or_less_is_one_too(limit, monkeypatch):
    limits = []
    monkeypatch.setattr(
        "models.loop.clip_gradients", lambda _parameters, limit, _members: limits.append(limit)
    )
    tiny = {"family": "plain", "channels": 2, "stages": 1, "batch_size": 32, "epochs": 1}
    data = DeviceDataset.create(make_dataset())
    next(fit(TrainConfig.create({**tiny, "clip_norm": limit}), data))
    assert set(limits) == {limit}
    limits.clear()
    next(fit(TrainConfig.create(tiny), data))
    assert limits == []


@pytest.mark.parametrize("members", [1, 2])
def test_what_has_no_gradient_is_left_out(members):
    frozen, trained = (nn.Parameter(torch.ones(4)) for _ in range(2))
    trained.grad = torch.full((4,), 3.0)
    clip_gradients([frozen, trained], 1.5, members)
    assert frozen.grad is None
    torch.testing.assert_close(trained.grad, torch.full((4,), 1.5 / (4 // members) ** 0.5))
