import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from data_prep.near_duplicates.alignment import MIN_LIKENESS, align, inverse, likeness
from data_prep.near_duplicates.signatures import signatures

GENERATOR = np.random.default_rng(8)
SCENES = gaussian_filter(GENERATOR.normal(size=(12, 96, 96)), (0, 2, 2)) * 220 + 128
"""Random shapes, larger than the pictures that are taken of them."""


def taken(scene, *, scale=(1.0, 1.0), shift=(0.0, 0.0)):
    """Take a picture of 48×48 pixels around the middle of a scene."""
    places = [47.5 + s * (np.arange(48) - 23.5) + by for s, by in zip(scale, shift, strict=True)]
    return map_coordinates(scene, np.meshgrid(*places, indexing="ij"), order=3)


def pictures(**crop):
    return np.stack([taken(scene, **crop) for scene in SCENES]).clip(0, 255).astype(np.uint8)


PLAIN = pictures()
PAIRS = np.stack([np.arange(len(SCENES)), np.arange(len(SCENES)) + len(SCENES)], axis=1)


@pytest.mark.parametrize(
    "crop",
    [
        {"shift": (2, -2.5)},
        {"scale": (0.9, 0.9)},
        {"scale": (1.1, 0.9), "shift": (-2, 1.5)},
        {"scale": (0.85, 1.0), "shift": (0.5, 2)},
    ],
    ids=str,
)
def test_crops_of_one_scene_are_alike_whichever_comes_first(crop):
    both = signatures(np.concatenate([PLAIN, pictures(**crop) // 2 + 40]))
    assert (likeness(both, PAIRS) > 0.93).mean() > 0.9
    assert (likeness(both, PAIRS[:, ::-1]) > 0.93).mean() > 0.9


def test_the_way_round_that_is_more_alike_counts():
    """What was enlarged lacks detail, and resembles the other picture blurred by resampling."""
    fine = gaussian_filter(np.random.default_rng(8).normal(size=(12, 96, 96)), (0, 1, 1)) * 170
    plain, crops = (
        np.stack([taken(one + 128, scale=(side, side)) for one in fine]).clip(0, 255)
        for side in (1, 0.85)
    )
    both = signatures(np.concatenate([plain, crops]).astype(np.uint8))
    # The other way round, the median is 0.97.
    assert np.median(likeness(both, PAIRS)) > 0.98
    assert np.median(likeness(both, PAIRS[:, ::-1])) > 0.98


def test_the_crop_is_found():
    crop = {"scale": (1.08, 0.92), "shift": (-3.0, 2.0)}
    first, second = (signatures(one).coarse.astype(np.float64) for one in (pictures(**crop), PLAIN))
    begin = np.tile([1.0, 1.0, 0.0, 0.0], (len(first), 1))
    crops, correlations = align(first, second, begin, 12)
    # Shifts count in pixels of 24. Smoothing at the margins moves the optimum a little.
    np.testing.assert_allclose(np.median(crops, axis=0), [1.08, 0.92, -1.5, 1.0], atol=0.02)
    assert (correlations >= align(first, second, begin, 0)[1]).all()
    assert np.median(correlations) > 0.97


def test_light_and_contrast_do_not_count_where_pictures_overlap_in_part():
    first, second = (signatures(one).coarse.astype(np.float64) for one in (pictures(), PLAIN))
    crops = np.tile([1.2, 0.9, 5.0, -4.0], (len(first), 1))
    _, plain = align(first, second, crops, 0)
    _, brighter = align(first + 100, 0.5 * second - 30, crops, 0)
    np.testing.assert_allclose(brighter, plain, atol=1e-9)


def test_pixels_on_the_border_count():
    first = signatures(PLAIN[:1]).coarse.astype(np.float64)
    other = first.copy()
    other[:, 0] += 50
    assert align(first, other, np.array([[1.0, 1.0, 0.0, 0.0]]), 0)[1][0] < 0.99


def test_the_inverse_of_a_crop_leads_back():
    """A place x of the first is s x + t in the second, so y of that is (y - t) / s."""
    crop = np.array([[0.8, 1.25, 2.0, -1.0]])
    np.testing.assert_allclose(inverse(crop), [[1.25, 0.8, -2.5, 0.8]])


def test_different_scenes_are_not_alike():
    others = signatures(np.concatenate([PLAIN, np.roll(PLAIN, 1, axis=0)]))
    assert likeness(others, PAIRS).max() < 0.75


def test_a_picture_is_like_itself_and_a_flat_one_like_none():
    flat = np.full((1, 48, 48), 90, dtype=np.uint8)
    both = signatures(np.concatenate([PLAIN[:1], PLAIN[:1], flat, flat]))
    found = likeness(both, np.array([[0, 1], [0, 2], [2, 3]]))
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-5)


def test_no_pairs_have_no_likeness():
    assert likeness(signatures(PLAIN), np.empty((0, 2), dtype=np.int64)).shape == (0,)


def test_close_calls_are_judged_in_double_precision(monkeypatch):
    """With all pairs close calls, the result is that of double precision for all."""
    both = signatures(np.concatenate([PLAIN, pictures(shift=(1.3, 0.4))]))
    plain = likeness(both, PAIRS)
    monkeypatch.setattr("data_prep.near_duplicates.alignment.CLOSE_CALL", 2.0)
    exact = likeness(both, PAIRS)
    np.testing.assert_allclose(plain, exact, atol=1e-3)
    assert (exact != exact.astype(np.float32)).all()


def test_a_close_call_gets_the_likeness_of_its_own_pair(monkeypatch):
    both = signatures(np.concatenate([PLAIN, pictures(shift=(1.3, 0.4))]))
    pairs = np.concatenate([[[0, 1]], PAIRS[:1]])
    plain = likeness(both, pairs)
    assert plain[0] < plain[1] - 0.1
    monkeypatch.setattr("data_prep.near_duplicates.alignment.MIN_LIKENESS", plain[1])
    np.testing.assert_allclose(likeness(both, pairs), plain, atol=1e-3)


def test_pairs_are_judged_alike_however_many_at_once(monkeypatch):
    both = signatures(np.concatenate([PLAIN, pictures(scale=(0.95, 0.97))]))
    wanted = likeness(both, PAIRS)
    monkeypatch.setattr("data_prep.near_duplicates.alignment.CHUNK", 5)
    np.testing.assert_allclose(likeness(both, PAIRS), wanted, atol=1e-4)  # float32


def test_the_threshold_is_the_one_that_was_calibrated():
    """Frozen: see docs/near_duplicates.md for what was looked at."""
    assert MIN_LIKENESS == 0.86


def test_likeness_is_that_of_earlier_releases():
    """Frozen: taken from the program once. Groups, and so fingerprints, depend on it."""
    stamp = 40 * (np.arange(48) % 12 < 2)[:, None]
    crops = pictures(scale=(0.85, 0.95), shift=(1, -2))
    crops[4:8] = (pictures(shift=(3.5, -3)) * 0.8 + stamp)[4:8]
    crops[8:10] = pictures(scale=(1.3, 1.25), shift=(-1, 1))[8:10]
    crops[10:] = PLAIN[:2]  # of another scene
    both = signatures(np.concatenate([PLAIN, crops]))
    wanted = [0.9899, 0.9907, 0.991, 0.9945, 0.799, 0.7791, 0.7494, 0.7917, 0.9866, 0.9831, 0, 0]
    np.testing.assert_allclose(likeness(both, PAIRS), wanted, atol=0.001)  # float32
