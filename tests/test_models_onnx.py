"""An exported model gives the answers of the original, for pictures of any size."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from data_prep.pictures import fit_pixels, to_gray
from models.build import build_model
from models.classifier import Classifier
from models.config import TrainConfig
from models.input_size import input_shape
from models.onnx_graph import fitting_graph
from models.onnx_model import _Probabilities, onnx_model
from tests.support.picture_factory import CLASSES, make_dataset

MANIFEST = replace(make_dataset().manifest, image_shape=(24, 32))
COLOUR = replace(MANIFEST, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
SIZES = [(24, 32), (23, 33), (10, 50), (100, 75), (97, 64), (250, 166), (48, 64), (24, 60)]

TALL = [(97, 64), (100, 75)]


def pictures(height, width, count=3):
    drawn = np.random.default_rng(height).integers(0, 256, (count, height, width, 3))
    drawn[:, ::3] //= 3
    return drawn.astype(np.uint8)


def answers(model, colours):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"pictures": colours})[0]


@pytest.mark.parametrize("manifest", [MANIFEST, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_pictures_are_resized_as_in_data_preparation(fit, manifest):
    model = fitting_graph(replace(manifest, fit=fit))
    for size in SIZES:
        colours = pictures(*size)
        read = colours if manifest.channels == 3 else to_gray(colours)
        expected = np.stack([fit_pixels(picture, (24, 32), fit) for picture in read])
        expected = expected.transpose(0, 3, 1, 2) if expected.ndim == 4 else expected[:, None]
        apart = np.abs(answers(model, colours) - expected.astype(float))
        # Pillow begins with the axis that it shrinks most, and each axis rounds.
        assert apart.max() <= 1
        assert (apart > 0).mean() < (0.25 if size in TALL else 0.01), size


NETWORKS = {
    "resnet": {"blocks": 1, "channels": 4, "pool_size": 5, "fc_width": 8, "image_size": 12},
    "plain": {"kernel_size": 4, "channels": 4, "test_time_flip": True},
    "staged": {"channels": 4, "stages": 2, "blocks": 1, "test_time_flip": True},
}


def classifier_of(family):
    manifest = COLOUR if family == "staged" else MANIFEST
    config = TrainConfig.create({"family": family, **NETWORKS[family]})
    torch.manual_seed(0)
    network = build_model(config, **manifest.task)
    shape = input_shape(config, manifest.image_shape)
    network(torch.randn(8, manifest.channels, *shape))  # Moves batch statistics.
    return Classifier(
        config=config, manifest=manifest, epoch=1, model=network, device=torch.device("cpu")
    )


@pytest.mark.parametrize("family", NETWORKS)
def test_the_network_to_export_gives_the_probabilities_of_the_original(family):
    classifier = classifier_of(family)
    manifest, colours = classifier.manifest, pictures(24, 32, count=5)
    read = colours if manifest.channels == 3 else to_gray(colours)
    fitted = read.transpose(0, 3, 1, 2) if read.ndim == 4 else read[:, None]
    network = _Probabilities(classifier.model, classifier.config, manifest).eval()
    with torch.inference_mode():
        found = network(torch.tensor(fitted).float())
    np.testing.assert_allclose(found, classifier.probabilities(read), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "family",
    ["plain", *(pytest.param(family, marks=pytest.mark.long) for family in ("staged", "resnet"))],
)
def test_probabilities_are_those_of_the_original(family):
    classifier = classifier_of(family)
    colours = pictures(24, 32, count=5)
    read = colours if classifier.manifest.channels == 3 else to_gray(colours)
    model = onnx_model(classifier)
    np.testing.assert_allclose(
        answers(model, colours), classifier.probabilities(read), atol=1e-5, rtol=0
    )
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(facts["classes"]) == list(CLASSES)
    assert facts["network"] == classifier.config.name


def test_of_a_picture_one_pixel_wide_a_whole_row_is_left():
    colours = pictures(50, 1)
    manifest = replace(MANIFEST, image_shape=(8, 32), fit="crop")
    expected = np.stack([fit_pixels(picture, (8, 32), "crop") for picture in to_gray(colours)])
    apart = np.abs(answers(fitting_graph(manifest), colours)[:, 0] - expected.astype(float))
    assert apart.max() <= 1
