import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.config import TrainConfig
from models.optim import learning_rate_at, make_optimizer, set_learning_rate

STEPS = 40


def _rates_of_torch(make_scheduler):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def _rates(schedule):
    config = TrainConfig(learning_rate=0.01, lr_schedule=schedule)
    return [learning_rate_at(config, step, STEPS) for step in range(STEPS)]


def test_a_constant_rate_stays():
    assert _rates("constant") == [0.01] * STEPS


def test_cosine_is_that_of_torch():
    expected = _rates_of_torch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS))
    assert _rates("cosine") == pytest.approx(expected, rel=1e-9)


def test_one_cycle_is_that_of_torch():
    expected = _rates_of_torch(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 0.01, total_steps=STEPS, cycle_momentum=False
        )
    )
    # The last rates are a 250,000th of the peak, where rounding weighs more.
    assert _rates("one_cycle") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_the_shortest_trainings_have_a_rate_too(schedule, total):
    config = TrainConfig(learning_rate=0.01, lr_schedule=schedule)
    assert all(0 < learning_rate_at(config, step, total) <= 0.01 for step in range(total))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_the_rate_rises_during_warm_up_to_that_of_the_schedule(schedule):
    # Four epochs of ten steps, of which one and a half are warm-up.
    config = TrainConfig(learning_rate=0.01, lr_schedule=schedule, epochs=4, warmup_epochs=1.5)
    rates = [learning_rate_at(config, step, STEPS) for step in range(STEPS)]
    shares = [min(1, (step + 1) / 15) for step in range(STEPS)]
    expected = [share * rate for share, rate in zip(shares, _rates(schedule), strict=True)]
    assert rates == pytest.approx(expected, rel=1e-9)
    assert rates[14:] == _rates(schedule)[14:]


def test_warm_up_does_not_make_a_constant_rate_depend_on_the_epochs():
    short, longer = (TrainConfig(epochs=epochs, warmup_epochs=2) for epochs in (4, 8))
    assert short.trial_id("f") == longer.trial_id("f") != TrainConfig(epochs=4).trial_id("f")
    rates = [[learning_rate_at(c, s, 10 * c.epochs) for s in range(40)] for c in (short, longer)]
    assert rates[0] == rates[1]


@pytest.mark.parametrize(
    ("name", "reference", "options"),
    [
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_an_optimiser_steps_as_torch_s_plain_one(name, reference, options):
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 3)
    twin = torch.nn.Linear(5, 3)
    twin.load_state_dict(model.state_dict())
    config = TrainConfig(optimizer=name, learning_rate=0.05, weight_decay=0.01)
    optimizer = make_optimizer(config, model)
    expected = reference(twin.parameters(), 0.05, weight_decay=0.01, foreach=False, **options)
    inputs = torch.randn(4, 5)
    for _ in range(3):
        for network, steps in ((model, optimizer), (twin, expected)):
            steps.zero_grad()
            network(inputs).square().sum().backward()
            steps.step()
    assert torch.allclose(model.weight, twin.weight, atol=1e-6)
    assert torch.allclose(model.bias, twin.bias, atol=1e-6)


STEP = """
import sys, torch
from models.config import TrainConfig
from models.optim import make_optimizer
for name in ("adam", "adamw", "sgd"):
    model = torch.nn.Linear(5, 3)
    optimizer = make_optimizer(TrainConfig(optimizer=name), model)
    model(torch.ones(4, 5)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


def test_an_optimiser_does_not_import_the_compiler():
    """It would take every new worker more than two seconds."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", STEP], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_frozen_layer_gets_neither_a_step_nor_decay(name):
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Linear(3, 2))
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    config = TrainConfig(optimizer=name, learning_rate=0.05, weight_decay=0.5)
    optimizer = make_optimizer(config, model)
    model(torch.randn(4, 5)).sum().backward()
    optimizer.step()
    assert torch.equal(model[0].weight, before)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


def test_the_head_s_rate_keeps_its_proportion_to_the_rest():
    model = torch.nn.Module()
    model.body, model.head = torch.nn.Linear(5, 3), torch.nn.Linear(3, 2)
    config = TrainConfig(learning_rate=0.1, head_learning_rate=0.02, weight_decay=0.25)
    optimizer = make_optimizer(config, model)
    body, head = optimizer.param_groups
    assert [p.shape[0] for p in body["params"]] == [3, 3]
    assert [p.shape[0] for p in head["params"]] == [2, 2]
    assert {body["weight_decay"], head["weight_decay"]} == {0.25}
    set_learning_rate(optimizer, config, 0.05)
    assert (body["lr"], head["lr"]) == pytest.approx((0.05, 0.01))


def test_one_rate_is_for_all():
    config = TrainConfig(learning_rate=0.1)
    optimizer = make_optimizer(config, torch.nn.Linear(5, 3))
    assert [group["lr"] for group in optimizer.param_groups] == [0.1]
    set_learning_rate(optimizer, config, 0.05)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_step_is_one_kernel_where_torch_has_one(name, device):
    model = torch.nn.Linear(5, 3, device=device)
    assert make_optimizer(TrainConfig(optimizer=name), model).defaults["fused"] is (device == "cpu")


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_every_optimiser_takes_two_rates(name):
    model = torch.nn.Module()
    model.head, model.body = torch.nn.Linear(3, 2), torch.nn.Linear(5, 3)
    config = TrainConfig(optimizer=name, learning_rate=0.1, head_learning_rate=0.3)
    rest, head = make_optimizer(config, model).param_groups
    assert [p is q for p, q in zip(rest["params"], model.body.parameters(), strict=True)]
    assert [p.shape[0] for p in head["params"]] == [2, 2]
