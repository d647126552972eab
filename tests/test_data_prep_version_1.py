import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data_prep.duplicates import duplicate_groups
from data_prep.near_duplicates.version_1 import (
    MAX_HASH_DISTANCE,
    MIN_CORRELATION,
    _close_hashes,
    fine_correlation,
    near_pairs,
)
from data_prep.synthetic import draw_raw


@pytest.fixture(scope="module")
def faces():
    """Distinct faces: copies among the drawn ones are taken out."""
    pixels = draw_raw(150, seed=3).pixels
    return pixels[np.unique(duplicate_groups(pixels, version="v1"), return_index=True)[1]][:100]


def shift(picture, down, right):
    return np.roll(picture, (down, right), axis=(0, 1))


def test_correlation_finds_the_shift_and_ignores_contrast(faces):
    changed = np.stack([shift(picture // 2 + 60, 3, -3) for picture in faces])
    # Halving rounds gray values and noise with them, which costs some percent.
    assert np.median(fine_correlation(faces, changed)) > 0.9
    assert np.median(fine_correlation(faces, np.roll(changed, 3, axis=1))) < 0.6


def test_correlation_of_a_picture_with_itself_is_one_and_with_a_flat_one_nothing(faces):
    # float32 sums of 2,304 products
    np.testing.assert_allclose(fine_correlation(faces, faces), 1, atol=1e-4)
    flat = np.full((1, 48, 48), 7, dtype=np.uint8)
    assert abs(fine_correlation(flat, faces[:1])[0]) < 1e-4


def test_a_chain_of_near_identical_pictures_is_one_group(faces):
    """Shifts of 3 pixels are found and one of 6 is not, but the middle one joins both ends."""
    first, middle, last = faces[0], shift(faces[0], 0, 3), shift(faces[0], 0, 6)
    apart = duplicate_groups(np.stack([last, faces[1], first]), version="v1")
    assert len(set(apart.tolist())) == 3
    chain = duplicate_groups(np.stack([last, faces[1], first, middle]), version="v1")
    assert chain.tolist() == [0, 1, 0, 0]


def test_pairs_are_the_same_however_many_are_compared_at_once(faces, monkeypatch):
    changed = np.stack([(picture * 0.8 + 20).astype(np.uint8) for picture in faces[:20]])
    pictures = np.concatenate([faces[:50], changed])
    pairs = near_pairs(pictures)
    assert pairs.tolist() == [[row, 50 + row] for row in range(20)]
    monkeypatch.setattr("data_prep.near_duplicates.version_1.CHUNK", 7)
    assert near_pairs(pictures).tolist() == pairs.tolist()


@pytest.mark.parametrize(("down", "right"), [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1)])
def test_correlation_allows_shifts_of_three_pixels_in_any_direction(down, right):
    """Noise is like itself at one shift only."""
    noise = np.random.default_rng(6).integers(0, 256, (5, 40, 60), dtype=np.uint8)
    three, four = (np.roll(noise, (by * down, by * right), axis=(1, 2)) for by in (3, 4))
    assert fine_correlation(noise, three).min() > 0.95
    assert fine_correlation(noise, four).max() < 0.3


def test_correlation_is_the_highest_of_the_high_passed_pictures_at_any_shift():
    """Computed pixel by pixel for pictures that are wider than high."""
    first, second = np.random.default_rng(3).integers(0, 256, (2, 20, 30), dtype=np.uint8)
    second = (first // 2 + second // 3).astype(np.uint8)
    fine = [one - gaussian_filter(one.astype(float), 3.0) for one in (first, second)]
    fine = [one - one.mean() for one in fine]
    fine = [one / np.sqrt((one**2).sum()) for one in fine]
    wanted = max(
        (fine[0] * np.roll(fine[1], (down, right), (0, 1))).sum()
        for down in range(-3, 4)
        for right in range(-3, 4)
    )
    # float32 against float64
    assert fine_correlation(first[None], second[None])[0] == pytest.approx(wanted, abs=1e-4)


def test_the_thresholds_are_those_that_were_seen_to_part_copies_from_others():
    """Frozen: see the docstrings for what was looked at."""
    assert (MAX_HASH_DISTANCE, MIN_CORRELATION) == (16, 0.6)


def test_hashes_are_close_up_to_and_at_the_largest_distance():
    bits = [0, 2**MAX_HASH_DISTANCE - 1, 2 ** (MAX_HASH_DISTANCE + 1) - 1]
    assert _close_hashes(np.array(bits, np.uint64)).tolist() == [[0, 1], [1, 2]]
