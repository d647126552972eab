import inspect
from importlib import import_module

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.build import build_model, count_parameters
from models.config import FIELDS, TrainConfig
from models.families.layers import (
    AdaptiveAveragePool,
    IdleBiasConv2d,
    replace_faulty_convolutions,
    same_conv,
)
from models.hyperparameters import NETWORK
from models.registry import FAMILIES
from tests.support.picture_factory import SHAPE


@pytest.mark.parametrize(
    ("channels", "blocks", "fc_layers", "kernel_size", "parameters"),
    [
        (16, 4, 1, 3, 41_008_660),
        (32, 4, 1, 3, 163_969_572),
        (16, 8, 2, 5, 82_055_572),
        (32, 8, 2, 7, 328_512_548),
    ],
)
def test_resnet_has_the_study_s_parameter_counts(
    channels, blocks, fc_layers, kernel_size, parameters
):
    config = TrainConfig(
        channels=channels, blocks=blocks, fc_layers=fc_layers, kernel_size=kernel_size
    )
    assert count_parameters(config, classes=4, image_shape=(48, 48)) == parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_a_registry_entry_names_just_what_its_builder_takes(family):
    module, _, name = FAMILIES[family].builder.partition(":")
    takes = set(inspect.signature(getattr(import_module(module), name)).parameters)
    assert takes - {"classes", "image_shape", "image_channels"} == set(FAMILIES[family].defaults)
    assert set(FAMILIES[family].defaults) <= set(NETWORK) <= set(FIELDS)


@pytest.mark.parametrize(
    "values",
    [
        {"family": "resnet", "channels": 4, "fc_width": 8},
        {"family": "resnet", "channels": 4, "fc_layers": 0, "conv_depth": 3, "kernel_size": 4},
        {"family": "plain", "channels": 4, "kernel_size": 4, "stages": 4},
        {"family": "plain", "channels": 4, "fc_width": "flat"},
        {"family": "staged", "channels": 4, "stages": 4},
    ],
)
@pytest.mark.parametrize("shape", [(48, 48), (32, 40)])
def test_networks_give_logits_and_a_gradient_to_every_weight(values, shape):
    model = build_model(TrainConfig.create(values), classes=5, image_shape=shape)
    logits = model(torch.randn(3, 1, *shape))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    idle = {m.bias for m in model.modules() if isinstance(m, IdleBiasConv2d)}
    assert all(p.grad is not None for p in model.parameters() if p not in idle)


def test_a_bias_that_batch_norm_takes_away_counts_and_does_nothing():
    conv, norm = same_conv(1, 4, 3, idle_bias=True), nn.BatchNorm2d(4)
    pictures = torch.randn(8, 1, 12, 12)
    before = norm(conv(pictures))
    with torch.no_grad():
        conv.bias += 5
    assert torch.equal(norm(conv(pictures)), before)
    added = functional.conv2d(pictures, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(norm(added), before)
    assert sum(p.numel() for p in conv.parameters()) == 4 * 9 + 4


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("shape", "size"), [((48, 48), 20), ((32, 40), 6), ((7, 7), 7)])
def test_pooling_as_matrix_products_is_adaptive_average_pooling(shape, size, layout):
    pictures = torch.randn(3, 4, *shape).contiguous(memory_format=layout).requires_grad_()
    ours = AdaptiveAveragePool(size, shape)(pictures)
    theirs = functional.adaptive_avg_pool2d(pictures, size)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(theirs)
    grads = [torch.autograd.grad((one * weights).sum(), pictures)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*grads)


def test_the_count_is_that_of_the_built_network():
    config = TrainConfig(family="staged", channels=8)
    model = build_model(config, classes=4, image_shape=(48, 48))
    built = sum(parameter.numel() for parameter in model.parameters())
    assert count_parameters(config, classes=4, image_shape=(48, 48)) == built


def test_counting_leaves_torch_s_random_numbers_alone():
    before = torch.get_rng_state()
    count_parameters(TrainConfig(), classes=4, image_shape=(48, 48))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_first_skip_adds_the_picture_to_every_channel():
    config = TrainConfig(blocks=1, channels=3, conv_depth=1, fc_layers=0, pool_size=8)
    block = build_model(config, classes=4, image_shape=(8, 8)).blocks[0].eval()
    torch.nn.init.zeros_(block.layers[1].weight)
    picture = torch.rand(2, 1, 8, 8)
    assert torch.equal(block(picture), picture.expand(2, 3, 8, 8))


def test_plain_doubles_its_channels_and_halves_the_picture_from_stage_to_stage():
    config = TrainConfig(family="plain", channels=4, stages=3, kernel_size=4)
    model = build_model(config, classes=4, image_shape=(48, 48))
    assert model.stages(torch.randn(2, 1, 48, 48)).shape == (2, 16, 6, 6)


def test_staged_halves_in_the_stem_and_in_every_stage_after_the_first():
    config = TrainConfig(family="staged", channels=4, stages=3, blocks=2)
    model = build_model(config, classes=4, image_shape=(48, 48))
    assert model.stages(model.stem(torch.randn(2, 1, 48, 48))).shape == (2, 16, 6, 6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pool_size": 50}, r"pool_size must be at most 48, .* but got 50"),
        ({"family": "plain", "stages": 6}, r"stages must be at most 5 for pictures of 48×48"),
        ({"family": "staged", "kernel_size": 4}, r"kernel_size must be odd .* give 3 or 5"),
    ],
)
def test_a_network_that_does_not_fit_the_pictures_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        count_parameters(TrainConfig.create(values), classes=4, image_shape=(48, 48))


@pytest.mark.parametrize(
    ("values", "parameters"),
    [
        # Blocks 30 + 6 + 84 + 6 and 2 · (84 + 6); linear layers 12 → 8 → 8 → 5.
        ({"blocks": 2, "channels": 3, "pool_size": 2, "fc_layers": 2, "fc_width": 8}, 527),
        ({"blocks": 2, "channels": 3, "pool_size": 2, "fc_layers": 0}, 126 + 180 + 65),
        # One convolution per block: 30 + 6 and 84 + 6; 12 → 12 → 5.
        ({"blocks": 2, "channels": 3, "pool_size": 2, "conv_depth": 1}, 36 + 90 + 156 + 65),
        # Convolutions 32 + 128, norms 4 + 8; 4 channels of 3×4 pixels: 48 → 48 → 5.
        (
            {"family": "plain", "channels": 2, "stages": 2, "kernel_size": 4,
             "fc_width": "flat"},
            172 + 2352 + 245,
        ),
        # Stem 22; blocks 80 + 80, 232 with a shortcut of 16, 304; 4 → 5.
        ({"family": "staged", "channels": 2, "stages": 2}, 22 + 160 + 248 + 304 + 25),
    ],
)  # fmt: skip
def test_small_networks_have_as_many_parameters_as_counted_by_hand(values, parameters):
    assert count_parameters(TrainConfig.create(values), classes=5, image_shape=SHAPE) == parameters


def test_the_default_plain_network_has_as_many_parameters_as_counted_by_hand():
    convolutions, norms = 9 * (32 + 32 * 64 + 64 * 128), 2 * (32 + 64 + 128)
    linear = (128 * 6 * 6 + 1) * 128 + (128 + 1) * 4
    count = count_parameters(TrainConfig(family="plain"), classes=4, image_shape=(48, 48))
    assert count == convolutions + norms + linear


def with_own_weights(values):
    """Build a network in evaluation mode whose batch norms scale and shift."""
    torch.manual_seed(1)
    model = build_model(TrainConfig.create(values), classes=5, image_shape=SHAPE).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(-2, 2)
                module.bias.normal_()
    return model


def norm(x, weights):
    means, variances = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
    return functional.batch_norm(x, means, variances, next(weights), next(weights))


def test_a_plain_network_is_convolution_norm_activation_and_pooling():
    model = with_own_weights({"family": "plain", "channels": 2, "stages": 2, "kernel_size": 4})
    weights = model.parameters()
    x = pictures = torch.randn(3, 1, *SHAPE)
    for _ in range(2):
        # The odd pixel of an even kernel is added on the right and at the bottom.
        x = functional.conv2d(functional.pad(x, (1, 2, 1, 2)), next(weights))
        x = functional.max_pool2d(functional.leaky_relu(norm(x, weights), 0.01), 2)
    x = functional.leaky_relu(functional.linear(x.flatten(1), next(weights), next(weights)), 0.01)
    torch.testing.assert_close(model(pictures), functional.linear(x, next(weights), next(weights)))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_a_residual_network_adds_a_block_s_input_before_its_last_activation(activation):
    model = with_own_weights(
        {"blocks": 2, "channels": 3, "conv_depth": 2, "pool_size": 4, "fc_width": 8,
         "activation": activation, "dropout": 0.5}
    )  # fmt: skip
    weights, active = model.parameters(), getattr(functional, activation)
    x = pictures = torch.randn(3, 1, *SHAPE)
    for _ in range(2):
        inside = x
        for place in range(2):
            inside, _idle_bias = functional.conv2d(inside, next(weights), padding=1), next(weights)
            inside = norm(inside, weights)
            inside = active(inside) if place == 0 else inside
        x = active(inside + x)
    x = functional.adaptive_avg_pool2d(x, 4).flatten(1)
    x = active(functional.linear(x, next(weights), next(weights)))
    torch.testing.assert_close(model(pictures), functional.linear(x, next(weights), next(weights)))


def test_a_staged_network_has_a_stem_and_averages_over_the_whole_picture():
    model = with_own_weights(
        {"family": "staged", "channels": 2, "stages": 1, "blocks": 1, "kernel_size": 5,
         "dropout": 0.5}
    )  # fmt: skip
    model.stages = nn.Identity()
    weights = model.parameters()
    pictures = torch.randn(3, 1, *SHAPE)
    x = functional.conv2d(pictures, next(weights), stride=2, padding=2)
    x = norm(x, weights).relu().mean(dim=(2, 3))
    torch.testing.assert_close(model(pictures), functional.linear(x, next(weights), next(weights)))


def test_a_new_block_of_a_staged_network_passes_its_input_on():
    config = TrainConfig(family="staged", channels=4, activation="leaky_relu")
    block = build_model(config, classes=4, image_shape=SHAPE).stages[0]
    x = torch.randn(2, 4, *SHAPE)
    torch.testing.assert_close(block(x), functional.leaky_relu(x, 0.01))


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"family": "resnet", "fc_layers": 3, "pool_size": 2}, 3),
        ({"family": "plain"}, 2),
        ({"family": "staged"}, 1),
    ],
)
def test_dropout_stands_before_the_linear_layers(values, count):
    config = TrainConfig.create({**values, "dropout": 0.3, "channels": 2})
    layers = list(build_model(config, classes=4, image_shape=(48, 48)).modules())
    places = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Dropout)]
    assert [layers[place].p for place in places] == [0.3] * count
    assert all(isinstance(layers[place + 1], nn.Linear) for place in places)


def test_pooling_has_no_weights_of_its_own_in_a_checkpoint():
    assert AdaptiveAveragePool(4, SHAPE).state_dict() == {}


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        ({"pool_size": 21}, (40, 20), r"pool_size must be at most 20, .* but got 21"),
        ({"pool_size": 21}, (20, 40), r"pool_size must be at most 20, .* but got 21"),
        (
            {"family": "plain", "stages": 5}, (40, 20),
            r"stages must be at most 4 for pictures of 40×20 pixels, because each stage halves",
        ),
    ],
)  # fmt: skip
def test_the_smaller_side_decides_what_fits(values, shape, message):
    with pytest.raises(ValueError, match=message):
        count_parameters(TrainConfig.create(values), classes=4, image_shape=shape)
    fits = {name: value - 1 for name, value in values.items() if name != "family"}
    assert count_parameters(TrainConfig.create(values | fits), classes=4, image_shape=shape) > 0


def test_pooling_does_not_round_its_means_in_bf16():
    pictures = torch.randn(2, 3, *SHAPE).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = AdaptiveAveragePool(5, SHAPE)(pictures)
    assert torch.equal(found, functional.adaptive_avg_pool2d(pictures, 5))


@pytest.mark.parametrize("kernel_size", [1, 5, 7])
def test_staged_halves_with_kernels_of_any_odd_size(kernel_size):
    config = TrainConfig(family="staged", channels=4, stages=3, kernel_size=kernel_size)
    model = build_model(config, classes=4, image_shape=(48, 48))
    assert model.stages(model.stem(torch.randn(2, 1, 48, 48))).shape == (2, 16, 6, 6)


def test_a_block_of_a_staged_network_is_two_convolutions_around_a_shortcut():
    model = with_own_weights(
        {"family": "staged", "channels": 2, "stages": 2, "blocks": 1, "kernel_size": 5,
         "activation": "leaky_relu"}
    )  # fmt: skip
    block = model.stages[1]
    weights, x = block.parameters(), torch.randn(3, 2, 6, 8)
    inside = norm(functional.conv2d(x, next(weights), stride=2, padding=2), weights)
    inside = functional.conv2d(functional.leaky_relu(inside, 0.01), next(weights), padding=2)
    inside = norm(inside, weights)
    shortcut = norm(functional.conv2d(x, next(weights), stride=2), weights)
    torch.testing.assert_close(block(x), functional.leaky_relu(inside + shortcut, 0.01))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_first_skip_adds_the_mean_colour_unless_there_are_as_many_channels(channels):
    config = TrainConfig(blocks=1, channels=channels, conv_depth=1, fc_layers=0, pool_size=8)
    model = build_model(config, classes=4, image_shape=(8, 8), image_channels=3)
    block = model.blocks[0].eval()
    nn.init.zeros_(block.layers[1].weight)
    picture = torch.rand(2, 3, 8, 8)
    mean = picture.mean(dim=1, keepdim=True)
    expected = picture if channels == 3 else mean.expand(2, channels, 8, 8)
    torch.testing.assert_close(block(picture), expected)


def test_a_convolution_of_another_kind_is_not_replaced():
    class Own(nn.Conv2d):
        pass

    network = nn.Sequential(Own(3, 4, 1, stride=2))
    replace_faulty_convolutions(network)
    assert type(network[0]) is Own
