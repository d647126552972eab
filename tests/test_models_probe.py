"""What a probe says of members: on real steps, of which no trace is left."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from models import fused, probe
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import fit
from tests.picture_factory import make_dataset

NARROW = {"family": "resnet", "blocks": 1, "channels": 2, "pool_size": 2, "fc_width": 4}


@pytest.fixture(scope="module")
def data():
    return DeviceDataset.create(make_dataset())


def configs(values=NARROW, members=3):
    return [
        TrainConfig.create({**values, "batch_size": 16, "epochs": 6, "seed": s})
        for s in range(members)
    ]


def test_a_gain_is_the_time_in_turn_over_the_time_as_one(data, monkeypatch):
    seconds = {1: 4.0, 3: 8.0}

    def time(some, _data, *, channels_last, hopeless=None):  # noqa: ARG001 - as the real one
        return seconds[len(some)], torch.ones(len(some))

    monkeypatch.setattr(probe, "_time", time)
    found = probe.probe(configs(), data)
    assert (found.gain, found.channels_last, found.pays) == (1.5, True, True)
    seconds[3] = 11.0
    assert not probe.probe(configs(), data).pays


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_probe_of_real_steps_has_a_gain_and_no_reason_against_it(data, dropout):
    found = probe.probe(configs({**NARROW, "dropout": dropout}), data)
    assert found.gain > 0
    assert found.reason == ""


def test_a_probe_leaves_no_trace_in_a_training(data):
    config = configs()[0]
    before = [result.values["train_loss"] for result in fit(config, data)]
    probe.probe(configs(), data)
    assert [result.values["train_loss"] for result in fit(config, data)] == before


def test_a_network_that_cannot_be_fused_is_told_with_the_reason(data, monkeypatch):
    monkeypatch.delitem(fused.LAYERS, nn.BatchNorm2d)
    found = probe.probe(configs(), data)
    assert not found.pays
    assert found.reason == "BatchNorm2d is no layer that can be fused"


def test_a_network_that_mixes_up_its_members_is_found_out(data, monkeypatch):
    class Mixes(fused.FusedFlatten):
        def forward(self, x):
            return super().forward(x.flip(1))

    monkeypatch.setitem(fused.LAYERS, nn.Flatten, lambda _layer, members: Mixes(members))
    found = probe.probe(configs(), data)
    assert "computes something else for several members" in found.reason


def test_a_short_training_is_not_held_up_by_a_probe(data):
    found = probe.probe([replace(config, epochs=1) for config in configs()], data)
    assert not found.pays
    assert found.reason == "too short to measure whether it pays"


def test_what_does_not_fit_into_memory_is_not_tried(data, monkeypatch):
    monkeypatch.setattr(probe, "_room", lambda _data: 1000)
    found = probe.probe(configs(), data)
    assert "3 at once need 0.0 GB, which are not free" in found.reason
