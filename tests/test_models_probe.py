"""What a probe says of members: on real steps, of which no trace is left."""

import math
import os
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import torch
from torch import nn

from models import fused, probe
from models.config import TrainConfig
from models.cost import training_cost
from models.data import DeviceDataset
from models.fit import fit
from models.loop import Loop
from tests.support.picture_factory import SHAPE, make_dataset

NARROW = {"family": "resnet", "blocks": 1, "channels": 2, "pool_size": 2, "fc_width": 4}


pytestmark = pytest.mark.usefixtures("one_thread")


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

    def time(some, _data, *, channels_last, hopeless=math.inf):
        assert channels_last
        assert hopeless == (math.inf if len(some) == 1 else 1.25 * 3 * 4.0)
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
    state = torch.get_rng_state()
    probe.probe(configs({**NARROW, "dropout": 0.5}, members=1), data, always=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert [result.values["train_loss"] for result in fit(config, data)] == before


def test_a_network_that_cannot_be_fused_is_told_with_the_reason(data, monkeypatch):
    monkeypatch.delitem(fused.LAYERS, nn.BatchNorm2d)
    found = probe.probe(configs(), data)
    assert not found.pays
    assert found.reason == "BatchNorm2d is a layer that cannot be fused"


def test_a_network_that_mixes_up_its_members_is_found_out(data, monkeypatch):
    class Mixes(fused.FusedFlatten):
        def forward(self, x):
            return super().forward(x.flip(1))

    monkeypatch.setitem(fused.LAYERS, nn.Flatten, lambda _layer, members: Mixes(members))
    found = probe.probe(configs(), data)
    assert "differ when it is fused" in found.reason


def test_a_short_training_is_not_held_up_by_a_probe(data):
    found = probe.probe([replace(config, epochs=1) for config in configs()], data)
    assert not found.pays
    assert found.reason == "too short to measure the gain"


def test_what_does_not_fit_into_memory_is_not_tried(data, monkeypatch):
    monkeypatch.setattr(probe, "_room", lambda _data: 1000)
    found = probe.probe(configs(), data)
    assert "fusing 3 needs 0.0 GB, more than is free" in found.reason


@pytest.mark.parametrize("lacking", [0, 1])
def test_what_just_fits_into_memory_is_tried(data, monkeypatch, lacking):
    members = configs()
    cost = training_cost(members[0], classes=3, image_shape=SHAPE)
    monkeypatch.setattr(probe, "_room", lambda _data: 3 * cost.memory_bytes - lacking)
    found = probe.probe(members, data, always=True)
    assert ("more than is free" in found.reason) == bool(lacking)
    assert (found.gain == 0) == bool(lacking)


def test_memory_that_is_lacking_is_told_in_gigabytes(data):
    members = [replace(config, batch_size=65536, channels=64) for config in configs()]
    needed = 3 * training_cost(members[0], classes=3, image_shape=SHAPE).memory_bytes
    assert f"needs {needed / 10**9:.1f} GB" in probe.probe(members, data).reason


def test_a_cpu_s_workers_share_half_of_what_is_free(data):
    free = psutil.virtual_memory().available
    assert probe._room(data) == pytest.approx(free / 2 / os.cpu_count(), rel=0.3)


def test_a_gpu_s_worker_has_what_is_free_on_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (700, 900))
    assert probe._room(SimpleNamespace(device=torch.device("cuda"))) == 700


@pytest.mark.parametrize(
    ("members", "epochs", "batch_size", "reason"),
    [
        (2, 5, 10, ""),  # Ten steps an epoch: a hundred.
        (3, 11, 32, "too short to measure the gain"),  # Three: ninety-nine.
    ],
)
def test_a_hundred_steps_of_all_members_are_enough_for_a_probe(
    data, members, epochs, batch_size, reason
):
    some = [
        replace(config, epochs=epochs, batch_size=batch_size) for config in configs(members=members)
    ]
    assert probe.probe(some, data).reason == reason
    assert probe.probe(some, data, always=True).reason == ""


def test_the_steps_of_a_fold_are_counted_from_its_own_pictures(data):
    # 85 of 128 pictures train where fold 1 validates, 43 where fold 0 does; 96 in the split.
    config = configs()[0]
    assert probe._steps(replace(config, fold=1, batch_size=10, folds=2), data) == 6 * 7
    assert probe._steps(replace(config, batch_size=10), data) == 6 * 10


@pytest.mark.parametrize(("gain", "pays"), [(1.09, False), (1.1, True), (0.0, False)])
def test_a_tenth_more_pictures_a_second_pay(gain, pays):
    assert probe.Probe(gain=gain, channels_last=True).pays is pays


@pytest.mark.parametrize(("hopeless", "steps"), [(math.inf, 3), (0.0, 1)])
def test_a_hopeless_first_step_is_the_only_one(data, monkeypatch, hopeless, steps):
    taken, step = [], Loop.step

    def counted(self, batches, rate):
        taken.append(([batch.pictures for batch in batches], rate))
        return step(self, batches, rate)

    monkeypatch.setattr(Loop, "step", counted)
    members = [replace(config, batch_size=48) for config in configs(members=2)]
    seconds, losses = probe._time(members, data, channels_last=True, hopeless=hopeless)
    # As many pictures as a step on a CPU needs for the gain to show, not all of the batch.
    assert taken == [([32, 32], members[0].learning_rate)] * steps
    assert seconds > 0
    # Of three classes that a new network knows nothing of.
    assert losses.tolist() == pytest.approx([math.log(3)] * 2, rel=0.5)


def test_members_that_run_out_of_memory_are_not_trained_as_one(data, monkeypatch):
    def time(some, _data, **_options):
        if len(some) > 1:
            raise torch.OutOfMemoryError("no room on the card")
        return 1.0, torch.ones(1)

    monkeypatch.setattr(probe, "_time", time)
    found = probe.probe(configs(), data)
    assert (found.gain, found.reason) == (0.0, "no room on the card")


def clocked(monkeypatch, *seconds):
    """Let each timed step take so many seconds."""
    times = [time for one in seconds for time in (0.0, one)]
    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=iter(times).__next__))


def test_a_step_takes_as_long_as_the_fastest_after_the_first(data, monkeypatch):
    clocked(monkeypatch, 2.0, 5.0, 3.0)
    seconds, losses = probe._time(configs(), data, channels_last=True)
    assert (seconds, len(losses)) == (3.0, 3)


def test_the_clock_of_a_step_runs_while_the_step_does(data, monkeypatch):
    clock, plain = SimpleNamespace(now=0.0), Loop.step

    def step(*words):
        clock.now += 7.0
        return plain(*words)

    monkeypatch.setattr(Loop, "step", step)
    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    assert probe._time(configs(), data, channels_last=True)[0] == 7.0


@pytest.mark.parametrize(("hopeless", "expected"), [(4.0, 4.0), (4.5, 1.0)])
def test_a_first_step_as_slow_as_hopeless_is_what_is_told(data, monkeypatch, hopeless, expected):
    clocked(monkeypatch, 4.0, 2.0, 1.0)
    found = probe._time(configs(), data, channels_last=True, hopeless=hopeless)
    assert found[0] == expected


def on_a_gpu(monkeypatch, seconds, losses=(1.0, 1.0, 1.0)):
    """Stand in for a GPU: how long a step of all takes in each layout, and the layouts tried."""
    tried = []

    def time(some, _data, *, channels_last, **_options):
        if len(some) == 1:
            return 4.0, torch.ones(1)
        tried.append(channels_last)
        return seconds[channels_last], torch.tensor(losses)

    monkeypatch.setattr(probe, "_time", time)
    monkeypatch.setattr(probe, "_room", lambda _data: 10**12)
    monkeypatch.setattr(probe, "_steps", lambda _config, _data: 100)
    monkeypatch.setattr(DeviceDataset, "device", torch.device("cuda"))
    return tried


@pytest.mark.parametrize(("seconds", "gain", "last"), [((3, 6), 4.0, False), ((6, 3), 4.0, True)])
def test_on_a_gpu_the_faster_layout_is_taken(monkeypatch, seconds, gain, last):
    data = DeviceDataset.create(make_dataset())
    tried = on_a_gpu(monkeypatch, {False: seconds[0], True: seconds[1]})
    found = probe.probe(configs(), data)
    assert (found.gain, found.channels_last) == (gain, last)
    assert tried == [True, False]


def test_of_members_that_are_always_trained_as_one_no_other_layout_is_tried(monkeypatch):
    data = DeviceDataset.create(make_dataset())
    tried = on_a_gpu(monkeypatch, {False: 3.0, True: 6.0})
    found = probe.probe(configs(), data, always=True)
    assert (found.gain, found.channels_last, tried) == (2.0, True, [True])


@pytest.mark.parametrize(
    ("first", "others", "alike"), [(1.015, 1.0, True), (0.9, 1.0, False), (1.0, 9.0, True)]
)
def test_the_first_member_s_loss_is_the_one_that_must_be_alike(
    data, monkeypatch, first, others, alike
):
    def time(some, _data, **_options):
        return 1.0, torch.tensor([1.0] if len(some) == 1 else [first, others, others])

    monkeypatch.setattr(probe, "_time", time)
    assert (probe.probe(configs(), data).reason == "") is alike


def test_what_cannot_be_trained_as_one_has_the_layout_that_all_others_have(data, monkeypatch):
    monkeypatch.setattr(probe, "_room", lambda _data: 0)
    assert probe.probe(configs(), data).channels_last


@pytest.mark.parametrize("channels_last", [True, False])
def test_steps_are_timed_in_the_layout_that_was_asked_for(data, monkeypatch, channels_last):
    asked, made = [], Loop

    def make(some, of_them, *, channels_last):
        asked.append(channels_last)
        return made(some, of_them, channels_last=channels_last)

    monkeypatch.setattr(probe, "Loop", make)
    probe._time(configs(members=2), data, channels_last=channels_last)
    assert asked == [channels_last]
