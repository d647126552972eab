import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data_prep.near_duplicates.signatures import COARSE, FINE, signatures
from data_prep.pictures import resize_pixels, to_gray

GENERATOR = np.random.default_rng(4)


@pytest.mark.parametrize("shape", [(48, 48), (96, 144), (100, 70), (64, 160)])
def test_pictures_are_reduced_by_averaging_over_areas(shape):
    """Each pixel is parted into 48×48, and each working pixel averages those that it covers."""
    picture = GENERATOR.integers(0, 256, shape, dtype=np.uint8)
    parts = np.kron(picture, np.ones((48, 48), dtype=np.uint8))
    wanted = parts.reshape(48, shape[0], 48, shape[1]).mean(axis=(1, 3))
    assert abs(signatures(picture[None]).gray[0] - wanted).max() < 0.501  # rounded


def test_pictures_are_enlarged_as_pillow_enlarges_them():
    pictures = GENERATOR.integers(0, 256, (2, 30, 20), dtype=np.uint8)
    found = signatures(pictures).gray.astype(int)
    wanted = np.stack([resize_pixels(one, (48, 48)) for one in pictures]).astype(int)
    assert abs(found - wanted).max() <= 1  # Pillow rounds between the two directions


def test_colours_become_gray_as_everywhere_else():
    colours = GENERATOR.integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    found = signatures(colours).gray.astype(int)
    assert abs(found - to_gray(colours)).max() <= 1  # one rounds up where the other rounds down


def test_pictures_of_one_gray_but_other_colours_have_other_descriptors():
    gray = np.repeat(GENERATOR.integers(60, 190, (1, 6, 6, 1), dtype=np.uint8), 3, axis=3)
    gray = np.kron(gray[0], np.ones((8, 8, 1), dtype=np.uint8))[None]
    red = np.clip(gray + np.array([60, -30, -7]), 0, 255).astype(np.uint8)
    found = signatures(np.concatenate([gray, gray // 2 + 9, red])).descriptors
    similar = found @ found.T
    assert similar[0, 1] > 0.99, "light and contrast do not count"
    assert 0.3 < similar[0, 2] < 0.95


def test_blocks_and_rows_give_what_all_pictures_give(monkeypatch):
    pictures = GENERATOR.integers(0, 256, (7, 60, 50), dtype=np.uint8)
    whole = signatures(pictures)
    monkeypatch.setattr("data_prep.near_duplicates.signatures.BLOCK_VALUES", 6000)
    part = signatures(pictures, np.array([5, 0, 3]))
    np.testing.assert_array_equal(part.gray, whole.gray[[5, 0, 3]])
    # A product of many rows may round otherwise than one of few.
    np.testing.assert_allclose(part.descriptors, whole.descriptors[[5, 0, 3]], atol=1e-5)
    np.testing.assert_allclose(part.coarse, whole.coarse[[5, 0, 3]], atol=0.2)


def test_details_and_coarse_pictures_are_differences_of_gaussians():
    """The coarse ones are averaged over two by two pixels; margins are continued outwards."""
    pictures = GENERATOR.integers(0, 256, (3, 48, 48), dtype=np.uint8)

    def difference(deviations):
        narrow, wide = (
            np.stack([gaussian_filter(one.astype(float), by, mode="nearest") for one in pictures])
            for by in deviations
        )
        return narrow - wide

    found = signatures(pictures)
    # float32, and half precision of the coarse ones
    np.testing.assert_allclose(found.details(np.arange(3)[::-1])[::-1], difference(FINE), atol=1e-3)
    wanted = difference(COARSE).reshape(3, 24, 2, 24, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(found.coarse, wanted, atol=0.05)


def test_descriptors_are_those_of_earlier_releases():
    """Frozen: taken from the program once. The pairs that are compared depend on them."""
    colours = np.random.default_rng(6).integers(0, 256, (2, 7, 5, 3), dtype=np.uint8)
    found = signatures(colours).descriptors
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    gray = signatures(colours[..., 0]).descriptors
    assert [found.shape, gray.shape] == [(2, 87), (2, 47)]
    np.testing.assert_allclose(found[0, :4], [0.05069, 0.04632, 0.08144, -0.04113], atol=1e-4)
    np.testing.assert_allclose(found[1, -4:], [-0.10770, -0.15736, -0.42550, -0.10106], atol=1e-4)


def test_what_pairs_are_aligned_by_has_neither_light_nor_noise():
    places = np.arange(48)
    stripes = {
        period: np.broadcast_to(128 + 100 * np.sin(2 * np.pi * places / period), (48, 48))
        for period in (3, 12, 90)
    }
    strength = {
        period: signatures(one[None].astype(np.uint8)).coarse[0, 6:18, 6:18].astype(float).std()
        for period, one in stripes.items()
    }
    assert COARSE == (1.0, 4.0)
    assert strength[12] > 5 * max(strength[3], strength[90])
