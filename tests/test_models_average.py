"""The moving average of a network's weights."""

import pytest
import torch
from torch import nn

from models.average import WeightAverage
from models.build import build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import fit
from models.state_size import state_bytes
from tests.support.picture_factory import make_dataset


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def change(model, number):
    """Set weights and statistics to other values, as a training step does."""
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            else:
                tensor.add_(1)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_the_average_gives_each_step_its_share_and_the_first_ones_more():
    model = network()
    expected = {name: tensor.double() for name, tensor in model.state_dict().items()}
    average = WeightAverage(model, 0.5)
    for step in range(12):
        after = change(model, step)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = {n: decay * v + (1 - decay) * after[n].double() for n, v in expected.items()}
    with average.in_place():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)
            else:
                assert tensor == 12, "steps are counted, not averaged"
    assert all(torch.equal(tensor, after[name]) for name, tensor in model.state_dict().items())


def test_an_error_inside_leaves_the_own_weights_too():
    model = network()
    average = WeightAverage(model, 0.5)
    after = change(model, 1)
    with pytest.raises(ZeroDivisionError), average.in_place():
        raise ZeroDivisionError
    assert all(torch.equal(tensor, after[name]) for name, tensor in model.state_dict().items())


def test_weights_that_two_layers_share_are_averaged_once():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    average = WeightAverage(model, 0.5)
    before = first.weight.detach().clone()
    change(model, 1)
    own = first.weight.detach().clone()
    average.update(100)
    for _ in range(2):
        with average.in_place():
            torch.testing.assert_close(second.weight, (before + own) / 2)
        assert torch.equal(first.weight, own)


def test_an_average_goes_on_from_its_state():
    model, other = network(), network()
    whole = WeightAverage(model, 0.9)
    change(model, 1)
    whole.update(0)
    change(other, 1)
    again = WeightAverage.restore(other, 0.9, {n: v.clone() for n, v in whole.state.items()})
    for part in (model, other):
        change(part, 2)
    whole.update(1)
    again.update(1)
    assert all(torch.equal(value, again.state[name]) for name, value in whole.state.items())


def test_an_average_that_goes_on_leaves_the_state_it_was_given_as_it_is():
    model = network()
    state = {name: value.clone() for name, value in WeightAverage(model, 0.5).state.items()}
    again = WeightAverage.restore(model, 0.5, state)
    before = {name: value.clone() for name, value in state.items()}
    change(model, 1)
    again.update(0)
    assert all(torch.equal(value, before[name]) for name, value in state.items())


def test_constants_that_no_checkpoint_holds_have_no_average():
    config = TrainConfig(blocks=1, channels=2, pool_size=2, fc_width=4)
    model = build_model(config, classes=3, image_shape=(8, 8))
    numbers = {n for n, tensor in model.state_dict().items() if tensor.is_floating_point()}
    assert WeightAverage(model, 0.5).state.keys() == numbers


def test_an_average_takes_a_number_for_each_weight():
    assert state_bytes(10, "sgd", averaged=True) - state_bytes(10, "sgd") == 40


def test_steps_of_an_average_count_on_from_epoch_to_epoch(monkeypatch):
    steps = []
    update = WeightAverage.update
    monkeypatch.setattr(
        WeightAverage, "update", lambda self, step: steps.append(step) or update(self, step)
    )
    tiny = {"family": "plain", "channels": 2, "stages": 1, "batch_size": 32, "epochs": 2}
    data = DeviceDataset.create(make_dataset())
    assert len(list(fit(TrainConfig.create({**tiny, "ema_decay": 0.9}), data))) == 2
    assert len(steps) >= 4
    assert steps == list(range(len(steps)))
