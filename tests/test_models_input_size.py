"""Networks may get the dataset's pictures at a smaller size."""

import numpy as np
import pytest
import torch

from fairsweep.errors import UserError
from models.build import build_model, count_parameters
from models.checkpoint import CheckpointError, save
from models.classifier import Classifier, classifier_state
from models.config import TrainConfig
from models.cost import training_cost
from models.data import DeviceDataset
from models.fit import fit
from models.input_size import input_shape, resize
from tests.support.picture_factory import SHAPE, make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")
VALUES = {"family": "plain", "channels": 2, "stages": 1, "fc_width": 8, "epochs": 1, "seed": 4}


def config(**changes):
    return TrainConfig.create({**VALUES, **changes})


@pytest.mark.parametrize(
    ("size", "shape", "expected"),
    [(None, (48, 64), (48, 64)), (48, (48, 64), (48, 64)), (24, (48, 64), (24, 32)),
     (5, (48, 64), (5, 7)), (4, (400, 4), (4, 1))],
)  # fmt: skip
def test_the_width_follows_the_height(size, shape, expected):
    assert input_shape(config(image_size=size), shape) == expected


def test_pictures_are_never_enlarged():
    with pytest.raises(UserError, match=r"image_size must be at most 48, .* but got 49; prepare"):
        build_model(config(image_size=49), classes=3, image_shape=(48, 64))


def test_a_smaller_picture_is_the_mean_of_the_areas():
    pictures = torch.rand(2, 3, 12, 16)
    expected = pictures.reshape(2, 3, 6, 2, 8, 2).mean(dim=(3, 5))
    torch.testing.assert_close(resize(pictures, (6, 8)), expected)
    assert resize(pictures, (12, 16)) is pictures


def test_a_training_is_one_on_reduced_pictures():
    """Up to the mean and deviation of the pictures, which those of the dataset are."""
    half = SHAPE[0] // 2, SHAPE[1] // 2
    whole = make_dataset()
    rows = resize(torch.from_numpy(whole.pixels).float()[:, None], half)
    data = DeviceDataset.create(whole)
    (reduced,) = fit(config(image_size=half[0], augmentation="none"), data)

    class Reduced(DeviceDataset):
        def pictures(self, which, _pixels=None):
            return rows[which]

        @property
        def image_shape(self):
            return half

        @property
        def task(self):
            return {**data.task, "image_shape": half}

    same = Reduced(**vars(data))
    (expected,) = fit(config(augmentation="none"), same)
    assert reduced.values["train_loss"] == expected.values["train_loss"]
    np.testing.assert_array_equal(reduced.probabilities, expected.probabilities)


def test_a_classifier_reduces_new_pictures_too(tmp_path):
    dataset = make_dataset()
    small = config(image_size=SHAPE[0] // 2)
    (result,) = fit(small, DeviceDataset.create(dataset))
    state = classifier_state(small, dataset.manifest, epoch=1, weights=result.weights())
    save(tmp_path / "best.pt", state)
    classifier = Classifier.read(tmp_path / "best.pt")
    found = classifier.probabilities(dataset.pixels[dataset.rows("val")])
    np.testing.assert_allclose(found, result.probabilities, atol=1e-6)


def test_costs_are_those_of_smaller_pictures():
    of_size = {"classes": 3, "image_shape": (48, 48)}
    small, whole = config(image_size=24), config()
    assert count_parameters(small, **of_size) == count_parameters(
        whole, classes=3, image_shape=(24, 24)
    )
    costs = [training_cost(each, **of_size).flop_per_picture for each in (small, whole)]
    assert costs[0] < costs[1] / 3


def test_a_size_makes_another_trial_and_none_keeps_the_id():
    ids = {config(image_size=size).trial_id("f" * 64) for size in (None, 12, 24)}
    assert len(ids) == 3
    assert "image_size" not in config().to_dict()


def test_a_classifier_says_what_it_is_and_lies_in_memory_as_in_training(tmp_path):
    dataset, deep = make_dataset(), config(stages=2)
    network = build_model(deep, **dataset.manifest.task)
    state = classifier_state(deep, dataset.manifest, epoch=7, weights=network.state_dict())
    save(tmp_path / "best.pt", state)
    found = Classifier.read(tmp_path / "best.pt")
    assert (found.config, found.manifest, found.epoch) == (deep, dataset.manifest, 7)
    assert found.device == torch.device("cpu")
    assert found.model.stages[4].weight.is_contiguous(memory_format=torch.channels_last)
    del state["dataset"]
    save(tmp_path / "best.pt", state)
    message = rf"^{tmp_path / 'best.pt'} does not say what it was trained on; train it again$"
    with pytest.raises(CheckpointError, match=message):
        Classifier.read(tmp_path / "best.pt")
