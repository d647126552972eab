"""How a picture of other proportions becomes one of the dataset's."""

import numpy as np
import pytest
from PIL import Image

from data_prep.folders import prepare_folders
from data_prep.manifest import DatasetManifest
from data_prep.pictures import fit_pixels, resize_pixels


@pytest.fixture
def wide():
    """8 rows, 16 columns: the middle square is bright."""
    pixels = np.full((8, 16), 10, dtype=np.uint8)
    pixels[:, 4:12] = 200
    return pixels


def test_crop_takes_the_middle_and_pad_adds_black(wide):
    assert (fit_pixels(wide, (4, 4), "crop") == 200).all()
    padded = fit_pixels(wide, (16, 16), "pad")
    np.testing.assert_array_equal(padded[4:12], wide)
    assert not padded[:4].any()
    assert not padded[12:].any()
    tall = fit_pixels(wide.T, (16, 16), "pad")
    np.testing.assert_array_equal(tall, padded.T)


def test_an_odd_row_of_black_is_added_below_and_an_odd_column_on_the_right():
    bright = np.full((3, 4), 200, dtype=np.uint8)
    padded = fit_pixels(bright, (4, 4), "pad")
    np.testing.assert_array_equal(padded[:3], bright)
    assert not padded[3].any()
    np.testing.assert_array_equal(fit_pixels(bright.T, (4, 4), "pad"), padded.T)


def test_stretch_is_what_it_was(wide):
    np.testing.assert_array_equal(fit_pixels(wide, (8, 8), "stretch"), resize_pixels(wide, (8, 8)))


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(7, 7), (7, 3), (1, 50), (9, 14, 3)])
def test_any_proportions_come_to_the_shape(fit, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert fit_pixels(pixels, (8, 8), fit).shape == (8, 8, *shape[2:])


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_picture_of_the_right_proportions_is_resized_alike(fit):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    np.testing.assert_array_equal(fit_pixels(pixels, (8, 8), fit), resize_pixels(pixels, (8, 8)))


def test_the_manifest_tells_how_pictures_were_fitted(tmp_path, wide):
    for place, name in enumerate(("a", "b")):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(20):
            pixels = wide.copy()
            pixels[0, 5:7] = (20 * place + number, 0)
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"{number}.png")
    config = tmp_path / "sources.yaml"
    config.write_text(
        f"fit: crop\nimage_size: 8\nsources: [{{name: mine, path: {tmp_path / 'in'}}}]\n"
    )
    prepare_folders(config=config, out=tmp_path / "out", near_duplicates=False)
    manifest = DatasetManifest.read(tmp_path / "out")
    assert manifest.fit == "crop"
    assert manifest.mean > 0.7


def test_a_dataset_of_wide_pictures_takes_the_middle_of_tall_ones_and_pads_their_sides():
    tall = np.arange(16, dtype=np.uint8)[:, None].repeat(8, axis=1)
    cropped = fit_pixels(tall, (4, 8), "crop")
    np.testing.assert_array_equal(cropped, tall[6:10])
    padded = fit_pixels(tall, (4, 8), "pad")
    assert padded.shape == (4, 8)
    assert not padded[:, :3].any()
    assert not padded[:, 5:].any()
    assert padded[1:, 3:5].all()
