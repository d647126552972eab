"""Gradients are right whatever instructions the processor has, and with or without oneDNN."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from models.build import build_model
from models.config import TrainConfig
from models.families.layers import (
    IdleBiasConv2d,
    StridedPointwiseConv2d,
    replace_faulty_convolutions,
)
from models.fused import fuse
from tests.support.gradients import wrong_networks


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # what turns oneDNN off talks of GPUs
@pytest.mark.parametrize("onednn", [True, False])
def test_gradients_are_right_on_this_processor(onednn):
    with torch.backends.mkldnn.flags(enabled=onednn):
        assert list(wrong_networks(1)) == []


def test_gradients_are_right_with_avx2_alone():
    """In a process of its own: oneDNN's faults end it, or keep it from ending."""
    one_instruction_set = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.gradients", "1", "2"],  # threads
        env=os.environ | one_instruction_set | {"OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def users_network():
    """With convolutions that oneDNN trains wrongly, one by itself and one inside, and others."""
    return nn.Sequential(
        nn.Conv2d(6, 16, 1, (2, 1), bias=True, groups=2),
        nn.Sequential(nn.BatchNorm2d(16), nn.Conv2d(16, 4, 3, 2, padding=1)),
        nn.Sequential(nn.Conv2d(4, 16, 1, 3, bias=False)),
        nn.Conv2d(16, 3, 1, 2),
    )


def test_only_faulty_convolutions_are_replaced_and_compute_the_same():
    torch.manual_seed(0)
    network, same = users_network(), users_network()
    before = network.state_dict()
    same.load_state_dict(before)
    drawn = torch.get_rng_state()
    replace_faulty_convolutions(network)
    assert torch.equal(torch.get_rng_state(), drawn)
    kinds = [type(layer) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert kinds == [StridedPointwiseConv2d, nn.Conv2d, StridedPointwiseConv2d, nn.Conv2d]
    assert network.state_dict().keys() == before.keys()
    assert [name for name, _ in network.named_parameters()] == [
        n for n, _ in same.named_parameters()
    ]
    pictures = torch.randn(5, 6, 23, 37)
    torch.testing.assert_close(network(pictures), same(pictures))


def test_a_replaced_convolution_can_be_fused():
    networks = [nn.Sequential(nn.Conv2d(2, 4, 1, 2, bias=False)) for _ in range(2)]
    pictures = torch.randn(3, 2, 2, 8, 8)
    expected = [network(pictures[:, i]) for i, network in enumerate(networks)]
    for network in networks:
        replace_faulty_convolutions(network)
    fused = fuse(networks)
    assert type(fused[0]) is StridedPointwiseConv2d
    torch.testing.assert_close(fused(pictures.flatten(1, 2)), torch.cat(expected, dim=1))


@pytest.mark.parametrize(
    ("layer", "replaced"),
    [
        (nn.Conv2d(15, 4, 1, 2), True),
        (nn.Conv2d(16, 4, 1, 2), False),  # As many channels as oneDNN takes at a time.
        (nn.Conv2d(16, 8, 1, 2, groups=4), True),  # Four channels a group.
        (nn.Conv2d(64, 4, 1, 2, groups=4), False),
        (nn.Conv2d(4, 4, 1, (1, 2)), True),
        (nn.Conv2d(4, 4, 1), False),
        (nn.Conv2d(4, 4, (1, 3), 2), False),
        (nn.Conv2d(4, 4, 1, 2, padding=(0, 1)), False),
        (IdleBiasConv2d(4, 4, 1, 2), False),
    ],
    ids=str,
)
def test_a_convolution_is_replaced_where_it_is_pointwise_strided_and_narrow(layer, replaced):
    network = nn.Sequential(layer)
    replace_faulty_convolutions(network)
    assert (type(network[0]) is StridedPointwiseConv2d) is replaced
    assert (network[0] is layer) is not replaced


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_replaced_convolution_has_the_weights_and_the_mode_of_the_first_one(bias, training):
    layer = nn.Conv2d(6, 4, 1, (1, 3), groups=2, bias=bias).train(training)
    network = nn.Sequential(layer)
    replace_faulty_convolutions(network)
    assert network[0].weight is layer.weight
    assert network[0].bias is layer.bias
    assert network[0].training is training
    assert (network[0].groups, network[0].stride) == (2, (1, 3))
    pictures = torch.randn(2, 6, 5, 8)
    torch.testing.assert_close(network(pictures), layer(pictures))


def test_every_network_is_built_without_faulty_convolutions():
    config = TrainConfig(family="staged", channels=4, stages=2, blocks=1)
    network = build_model(config, classes=3, image_shape=(8, 8))
    strided = [
        type(layer)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
    ]
    assert strided == [StridedPointwiseConv2d]
