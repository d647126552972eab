import inspect
from importlib import import_module

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.build import build_model, count_parameters
from models.config import NETWORK_RULES, TrainConfig
from models.families.layers import AdaptiveAveragePool, IdleBiasConv2d, same_conv
from models.registry import FAMILIES


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
    assert takes - {"classes", "image_shape"} == set(FAMILIES[family].defaults)
    assert set(FAMILIES[family].defaults) <= set(NETWORK_RULES)


@pytest.mark.parametrize(
    "values",
    [
        {"family": "resnet", "channels": 4, "fc_width": 8},
        {"family": "resnet", "channels": 4, "fc_layers": 0, "conv_depth": 3, "kernel_size": 4},
        {"family": "plain", "channels": 4, "kernel_size": 4, "conv_depth": 4},
        {"family": "plain", "channels": 4, "fc_width": "flat"},
        {"family": "staged", "channels": 4, "conv_depth": 4},
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
    config = TrainConfig(family="plain", channels=4, conv_depth=3, kernel_size=4)
    model = build_model(config, classes=4, image_shape=(48, 48))
    assert model.stages(torch.randn(2, 1, 48, 48)).shape == (2, 16, 6, 6)


def test_staged_halves_in_the_stem_and_in_every_stage_after_the_first():
    config = TrainConfig(family="staged", channels=4, conv_depth=3, blocks=2)
    model = build_model(config, classes=4, image_shape=(48, 48))
    assert model.stages(model.stem(torch.randn(2, 1, 48, 48))).shape == (2, 16, 6, 6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pool_size": 50}, r"pool_size must be at most 48, .* but got 50"),
        ({"family": "plain", "conv_depth": 6}, r"conv_depth .* 48×48.* give at most 5"),
        ({"family": "staged", "kernel_size": 4}, r"kernel_size must be odd .* give 3 or 5"),
    ],
)
def test_a_network_that_does_not_fit_the_pictures_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        count_parameters(TrainConfig.create(values), classes=4, image_shape=(48, 48))
