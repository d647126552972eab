"""New pictures are brought to the size of a dataset as its own were."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_prep.pictures import fit_pixels
from models.new_pictures import classify
from tests.support.picture_factory import CLASSES, make_dataset


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_picture_is_fitted_as_the_dataset_says(tmp_path, fit):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 50), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen = []

    def probabilities(pictures):
        seen.append(pictures)
        return np.full((len(pictures), len(CLASSES)), 1 / len(CLASSES))

    manifest = replace(make_dataset().manifest, fit=fit)
    classifier = SimpleNamespace(manifest=manifest, probabilities=probabilities)
    assert len(list(classify(classifier, [tmp_path / "a.png"]))) == 1
    np.testing.assert_array_equal(seen[0][0], fit_pixels(pixels, manifest.image_shape, fit))
