"""Colour pictures through every family, alone and fused, and through torchvision's own weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset
from fairsweep.errors import UserError
from models.build import build_model, check_network, count_parameters
from models.checkpoint import save
from models.classifier import Classifier, classifier_state
from models.config import TrainConfig
from models.cost import training_cost
from models.data import DeviceDataset
from models.fit import fit, fit_together
from models.registry import FAMILIES, Family
from tests.support.picture_factory import SHAPE, make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "resnet": {"channels": 4, "blocks": 2, "pool_size": 4, "fc_width": 8},
    "plain": {"channels": 4, "fc_width": 8},
    "staged": {"channels": 8, "stages": 2, "blocks": 1},
    "torchvision": {"architecture": "mobilenet_v3_small"},
}


def in_colour(gray: ImageDataset) -> ImageDataset:
    """The same pictures with three different planes; classes differ in the blue one alone."""
    rng = np.random.default_rng(0)
    planes = [gray.pixels, rng.integers(0, 256, gray.pixels.shape, dtype=np.uint8)]
    planes.append((60 * gray.labels + 20).astype(np.uint8)[:, None, None] + gray.pixels // 16)
    pixels = np.stack(planes, axis=-1)
    train = pixels[gray.splits == "train"] / 255
    manifest = replace(
        gray.manifest,
        channels=3,
        mean=tuple(train.mean(axis=(0, 1, 2)).tolist()),
        std=tuple(train.std(axis=(0, 1, 2)).tolist()),
    )
    return replace(gray, pixels=pixels, manifest=manifest)


@pytest.fixture(scope="module")
def colour():
    return in_colour(make_dataset())


def config(family, **changes):
    values = {"batch_size": 16, "epochs": 2, "augmentation": "none", "dropout": 0.0}
    if family == "torchvision":
        del values["dropout"]
    return TrainConfig.create({"family": family, **values, **SMALL[family], **changes})


def test_pictures_come_as_planes_with_a_mean_and_deviation_each(colour):
    data = DeviceDataset.create(colour)
    rows = data.rows("train")
    pictures = data.pictures(rows)
    assert (data.image_channels, pictures.shape[1:]) == (3, (3, *SHAPE))
    expected = torch.from_numpy(colour.pixels[rows.numpy()]).permute(0, 3, 1, 2).float()
    assert torch.equal(pictures, expected)
    deviations, means = torch.std_mean(data.normalise(pictures), dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(means, torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(deviations, torch.ones(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["resnet", "plain", "staged"])
def test_a_network_learns_what_only_one_colour_shows(colour, family):
    results = list(
        fit(config(family, epochs=15, learning_rate=0.003), DeviceDataset.create(colour))
    )
    assert results[-1].values["val_accuracy"] > 0.9


@pytest.mark.parametrize("family", SMALL)
def test_only_the_first_layer_knows_of_colour(family):
    start = config(family)
    gray, colour = (
        count_parameters(start, classes=3, image_shape=(32, 32), image_channels=channels)
        for channels in (1, 3)
    )
    with torch.device("meta"):
        network = build_model(start, classes=3, image_shape=(32, 32), image_channels=3)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert first.in_channels == 3
    assert colour - gray == 2 * first.weight.numel() // 3
    costs = [
        training_cost(start, classes=3, image_shape=(32, 32), image_channels=channels)
        for channels in (1, 3)
    ]
    assert costs[1].parameters == colour
    assert costs[1].flop_per_picture > costs[0].flop_per_picture


@pytest.mark.parametrize("family", ["resnet", "plain", "staged"])
def test_members_in_colour_end_where_they_would_alone(colour, family):
    data = DeviceDataset.create(colour)
    changes = {"augmentation": "flip_rotate", "mixup": 0.4}
    members = [config(family, seed=seed, **changes) for seed in (0, 1, 2)]
    together = list(fit_together(members, data))
    apart = [list(fit(member, data)) for member in members]
    for results, separate in zip(together, zip(*apart, strict=True), strict=True):
        for ours, theirs in zip(results, separate, strict=True):
            # Sums run in another order.
            assert ours.values["val_loss"] == pytest.approx(theirs.values["val_loss"], rel=2e-3)


def test_the_first_block_of_a_resnet_adds_the_mean_of_the_colours():
    network = build_model(config("resnet"), classes=3, image_shape=SHAPE, image_channels=3).eval()
    block = network.blocks[0]
    picture = torch.rand(2, 3, *SHAPE)
    expected = torch.relu(block.layers(picture) + picture.mean(1, keepdim=True))
    torch.testing.assert_close(block(picture), expected)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_pretrained_weights_answer_as_torchvision_does(tmp_path, name):
    torch.manual_seed(0)
    rgb = torchvision_models.get_model(name).eval()
    for layer in rgb.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    torch.save(rgb.state_dict(), tmp_path / "weights.pth")
    start = TrainConfig.create(
        {"family": "torchvision", "architecture": name, "pretrained": str(tmp_path / "weights.pth")}
    )
    mean, std = (0.47, 0.51, 0.4), (0.22, 0.25, 0.3)
    ours = build_model(start, classes=1000, image_shape=SHAPE, image_channels=3).eval()
    ours.load_pretrained(mean=mean, std=std)
    ours.head.load_state_dict(
        [m for m in rgb.modules() if isinstance(m, nn.Linear)][-1].state_dict()
    )
    picture = torch.rand(1, 3, 224, 224)
    transforms = torchvision_models.get_model_weights(name).DEFAULT.transforms()

    def normalised(means, deviations):
        planes = [torch.tensor(values).view(1, 3, 1, 1) for values in (means, deviations)]
        return (picture - planes[0]) / planes[1]

    with torch.inference_mode():
        expected = rgb(normalised(transforms.mean, transforms.std))
        found = ours(normalised(mean, std))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    check_network(start, classes=4, image_shape=SHAPE, image_channels=3)


class GrayOnly(nn.Module):
    """A family of before, whose builder knows nothing of colour."""

    def __init__(self, *, classes, image_shape):
        super().__init__()
        self.linear = nn.Linear(image_shape[0] * image_shape[1], classes)


def test_a_family_that_knows_no_colour_refuses_it_in_a_line(monkeypatch):
    family = Family(builder=f"{__name__}:GrayOnly", defaults={}, name="old")
    monkeypatch.setitem(FAMILIES, "resnet", family)
    start = TrainConfig(family="resnet")
    build_model(start, classes=3, image_shape=SHAPE)
    with pytest.raises(
        UserError, match=r"family resnet takes gray pictures only, but .* 3 channels"
    ):
        build_model(start, classes=3, image_shape=SHAPE, image_channels=3)
    check_network(start, classes=3, image_shape=SHAPE)
    with pytest.raises(UserError, match="gray pictures only"):
        check_network(start, classes=3, image_shape=SHAPE, image_channels=3)


def test_a_classifier_reads_back_what_it_was_trained_on_in_colour(tmp_path, colour):
    start = config("plain")
    *_, last = fit(start, DeviceDataset.create(colour))
    state = classifier_state(start, colour.manifest, epoch=2, weights=last.weights())
    save(tmp_path / "best.pt", state)
    classifier = Classifier.read(tmp_path / "best.pt")
    assert isinstance(classifier.manifest, DatasetManifest)
    assert classifier.manifest == colour.manifest
    rows = colour.rows("val")
    np.testing.assert_allclose(
        classifier.probabilities(colour.pixels[rows]), last.probabilities, atol=1e-5
    )
