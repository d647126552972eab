import numpy as np
import pytest

from data_prep.duplicates import count_duplicates, duplicate_groups, fine_correlation
from data_prep.synthetic import draw_raw


@pytest.fixture(scope="module")
def faces():
    """Distinct faces: copies among the drawn ones are taken out."""
    pixels = draw_raw(150, seed=3).pixels
    return pixels[np.unique(duplicate_groups(pixels), return_index=True)[1]][:100]


def shift(picture, down, right):
    return np.roll(picture, (down, right), axis=(0, 1))


def test_byte_identical_pictures_share_a_group_numbered_by_its_first(faces):
    groups = duplicate_groups(np.stack([faces[i] for i in (4, 2, 4, 7, 2, 4)]), near=False)
    assert groups.tolist() == [0, 1, 0, 2, 1, 0]


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: (picture * 0.7 + 40).astype(np.uint8),  # contrast
        lambda picture: shift(picture, 1, -1),  # crop
        lambda picture: shift((picture * 0.8 + 10).astype(np.uint8), 0, 1),  # both
        lambda picture: (picture * 0.8 + 40 * (np.arange(48) % 24 < 2)).astype(np.uint8),  # stamp
    ],
    ids=["contrast", "crop", "contrast and crop", "stamp"],
)
def test_near_identical_pictures_are_found(faces, change):
    both = np.concatenate([faces, np.stack([change(picture) for picture in faces])])
    groups = duplicate_groups(both)
    found = groups[: len(faces)] == groups[len(faces) :]
    assert found.mean() >= 0.9
    apart = duplicate_groups(both, near=False)
    assert len(np.unique(apart)) > len(np.unique(groups))


def test_different_faces_stay_apart(faces):
    assert np.bincount(duplicate_groups(faces)).max() == 1


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


def test_copies_in_validation_and_test_are_counted():
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 3])
    splits = np.array(["train", "val", "test", "val", "test", "train", "train", "train"])
    assert count_duplicates(groups, splits) == {"groups": 3, "surplus": 4, "across_splits": 2}
