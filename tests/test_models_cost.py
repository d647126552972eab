"""What a training costs, counted by hand for networks that are small enough."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.config import TrainConfig
from models.cost import BACKWARD, training_cost

SHAPE = (8, 6)


@pytest.mark.parametrize(("optimizer", "numbers"), [("adam", 4), ("adamw", 4), ("sgd", 3)])
def test_a_small_network_costs_what_is_counted_by_hand(optimizer, numbers):
    config = TrainConfig(
        family="plain", channels=2, stages=1, fc_width=4, batch_size=10, optimizer=optimizer
    )
    cost = training_cost(config, classes=3, image_shape=SHAPE)
    # Convolution 2 · 9, batch norm 4, linear layers 24 → 4 → 3 with a bias each.
    parameters = 18 + 4 + 100 + 15
    # A product and a sum each: of 9 for 2 channels of 48 pixels, then of the linear layers.
    flop = 2 * (9 * 2 * 48 + 24 * 4 + 4 * 3)
    # Convolution, norm and activation; pooling, flatten and dropout; then the linear layers.
    outputs = 3 * 96 + 3 * 24 + 3 * 4 + 3
    assert cost.parameters == parameters
    assert cost.flop_per_picture == flop
    # Four bytes a number: weight, gradient and what the optimiser keeps.
    assert cost.memory_bytes == 4 * (numbers * parameters + 10 * outputs)
    # As many in last.pt (weights, optimiser) and best.pt (weights) together.
    assert cost.checkpoint_bytes == 4 * numbers * parameters


def test_frozen_weights_are_kept_once_in_memory_and_in_both_checkpoints():
    config = TrainConfig(
        family="torchvision", architecture="resnet18", frozen_stages=5, batch_size=10
    )
    cost = training_cost(config, classes=4, image_shape=SHAPE)
    # Torchvision tells 11,689,512 parameters, with a head of 1,000 classes and an RGB stem.
    frozen = 11_689_512 - 513 * 1000 - 2 * 64 * 49
    largest = 64 * 112 * 112  # The first convolution's output, of pictures of 224×224.
    assert cost.parameters == 513 * 4
    assert cost.memory_bytes == 16 * 513 * 4 + 4 * (frozen + 10 * largest)
    assert cost.checkpoint_bytes == 16 * 513 * 4 + 8 * frozen


def test_counting_a_cost_leaves_torch_s_random_numbers_alone():
    before = torch.get_rng_state()
    training_cost(TrainConfig(family="plain"), classes=3, image_shape=(8, 16))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_whose_last_pictures_have_one_pixel_has_a_cost():
    # Batch norm cannot train on one value per channel, and one picture stands for all.
    config = TrainConfig(family="staged", channels=2, stages=4)
    assert training_cost(config, classes=3, image_shape=(8, 8)).flop_per_picture > 0


def test_a_step_takes_three_times_the_arithmetic_of_its_forward_pass():
    layer = torch.nn.Linear(6, 5)
    pictures = torch.ones(4, 6, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        outputs = layer(pictures)
    with FlopCounterMode(display=False) as backward:
        outputs.sum().backward()
    step = forward.get_total_flops() + backward.get_total_flops()
    assert step == BACKWARD * forward.get_total_flops()


@pytest.mark.parametrize("size", [(12, 8), (8, 12)])
def test_a_cost_is_that_of_the_picture_s_own_height_and_width(size):
    # Pooled to 6×4 or 4×6 pixels, and counted once for each of 3 classes.
    config = TrainConfig(family="plain", channels=1, stages=1, fc_width=1)
    assert training_cost(config, classes=3, image_shape=size).parameters == 9 + 2 + 24 + 1 + 6


def test_an_average_of_the_weights_is_in_memory_and_in_the_last_checkpoint():
    plain, averaged = (
        training_cost(
            TrainConfig(family="plain", stages=1, ema_decay=decay), classes=3, image_shape=SHAPE
        )
        for decay in (0.0, 0.25)
    )
    of_weights = 4 * plain.parameters
    assert averaged.memory_bytes - plain.memory_bytes == of_weights
    assert averaged.checkpoint_bytes - plain.checkpoint_bytes == of_weights
