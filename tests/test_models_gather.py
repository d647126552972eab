"""Training from pixels that are gathered ahead is training from pixels in memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import EpochPlan
from models.fit import fit, fit_together
from models.gather import gathered_ahead
from tests.support.picture_factory import SHAPE, make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

# 96 pictures in steps of 28, 28, 28 and 12.
VALUES = {
    "family": "plain", "channels": 2, "stages": 1, "fc_width": 8, "dropout": 0.0, "mixup": 0.4,
    "batch_size": 28, "epochs": 2, "augmentation": "flip_rotate", "seed": 5,
}  # fmt: skip


@pytest.fixture
def in_memory():
    return DeviceDataset.create(make_dataset())


@pytest.fixture
def mapped(in_memory, tmp_path):
    (tmp_path / "pixels").write_bytes(in_memory.source.pixels.tobytes())
    pixels = np.memmap(tmp_path / "pixels", np.uint8, "r").reshape(in_memory.pixels.shape)
    return DeviceDataset.create(replace(in_memory.source, pixels=pixels))


def test_only_pixels_in_the_memory_of_the_device_are_resident(in_memory, mapped):
    assert in_memory.resident
    assert not mapped.resident


def test_a_training_is_the_same_to_the_last_digit(in_memory, mapped):
    config = TrainConfig.create(VALUES)
    for expected, found in zip(fit(config, in_memory), fit(config, mapped), strict=True):
        assert expected.values["train_loss"] == found.values["train_loss"]
        np.testing.assert_array_equal(expected.probabilities, found.probabilities)


def test_members_of_a_fused_training_get_their_own_pixels(in_memory, mapped):
    configs = [TrainConfig.create({**VALUES, "seed": seed}) for seed in (5, 6, 7)]
    results = zip(fit_together(configs, in_memory), fit_together(configs, mapped), strict=True)
    for expected, found in results:
        for first, second in zip(expected, found, strict=True):
            np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_the_next_step_is_gathered_while_one_trains(mapped, monkeypatch):
    gathered = []
    gather = DeviceDataset.gather

    def noting(data, rows):
        gathered.append(len(rows))
        return gather(data, rows)

    monkeypatch.setattr(DeviceDataset, "gather", noting)
    plan = EpochPlan.draw(TrainConfig.create(VALUES), 1, torch.arange(96), SHAPE)
    steps = gathered_ahead(zip(plan.batches(), strict=True), mapped)
    (first,) = next(steps)
    (second,) = next(steps)  # The third step was asked for before the second was given.
    assert gathered[:3] in ([28, 28], [28, 28, 28])
    assert [batch.pixels.shape[0] for (batch,) in steps] == [28, 12]
    assert gathered == [28, 28, 28, 12]
    for batch in (first, second):
        assert torch.equal(batch.pixels, mapped.pixels[batch.rows[0]])


def test_a_fault_of_the_disk_ends_the_training(mapped, monkeypatch):
    def broken(_data, _rows):
        raise OSError("cannot read")

    monkeypatch.setattr(DeviceDataset, "gather", broken)
    with pytest.raises(OSError, match="cannot read"):
        next(fit(TrainConfig.create(VALUES), mapped))
