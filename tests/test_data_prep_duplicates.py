import hashlib

import numpy as np
import pytest
from PIL import Image

from data_prep.duplicates import (
    SEARCH_VERSIONS,
    count_duplicates,
    duplicate_groups,
    number_by_first,
    pair_likeness,
)
from data_prep.fingerprint import content_hashes
from data_prep.synthetic import draw_raw


@pytest.fixture(scope="module")
def faces():
    """Distinct faces: copies among the drawn ones are taken out."""
    pixels = draw_raw(150, seed=3).pixels
    return pixels[np.unique(duplicate_groups(pixels), return_index=True)[1]][:100]


def resized(picture, side, box=None):
    image = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def cropped(picture, side, share=0.04):
    """Cut this share off each side and enlarge what is left to ``side``."""
    margin = share * picture.shape[0]
    return resized(picture, side, (margin, margin, *(one - margin for one in picture.shape[1::-1])))


@pytest.mark.parametrize("version", SEARCH_VERSIONS)
def test_byte_identical_pictures_share_a_group_numbered_by_its_first(faces, version):
    pictures = np.stack([faces[i] for i in (4, 2, 4, 7, 2, 4)])
    assert duplicate_groups(pictures, near=False, version=version).tolist() == [0, 1, 0, 2, 1, 0]


@pytest.mark.parametrize("version", SEARCH_VERSIONS)
@pytest.mark.parametrize(
    "change",
    [
        lambda picture: (picture * 0.7 + 40).astype(np.uint8),  # contrast
        lambda picture: np.roll(picture, (1, -1), axis=(0, 1)),  # crop
        lambda picture: np.roll((picture * 0.8 + 10).astype(np.uint8), 1, axis=1),  # both
        lambda picture: (picture * 0.8 + 40 * (np.arange(48) % 24 < 2)).astype(np.uint8),  # stamp
    ],
    ids=["contrast", "crop", "contrast and crop", "stamp"],
)
def test_near_identical_pictures_are_found(faces, change, version):
    both = np.concatenate([faces, np.stack([change(picture) for picture in faces])])
    groups = duplicate_groups(both, version=version)
    found = groups[: len(faces)] == groups[len(faces) :]
    # v2 wants details to agree, and these stamps are stronger than some of the drawn faces.
    assert found.mean() >= (0.8 if version == "v2" else 0.9)
    apart = duplicate_groups(both, near=False, version=version)
    assert len(np.unique(apart)) > len(np.unique(groups))


@pytest.mark.parametrize("side", [32, 48, 96, 160, 224])
def test_crops_are_found_whatever_the_stored_size(faces, side):
    stored = [resized(picture, side) for picture in faces]
    crops = [cropped(picture, side) for picture in faces]
    groups = duplicate_groups(np.stack(stored + crops))
    # One drawn face is little but noise. Of 100 real faces all are found (docs/near_duplicates.md).
    assert (groups[: len(faces)] == groups[len(faces) :]).sum() >= 99
    assert np.bincount(groups[: len(faces)]).max() == 1, "no two people are taken for one"


def test_groups_of_one_size_are_those_of_another(faces):
    pictures = np.concatenate([faces, [cropped(picture, 48) for picture in faces[:30]]])
    wanted = duplicate_groups(pictures)
    large = np.stack([np.kron(picture, np.ones((2, 2), np.uint8)) for picture in pictures])
    assert duplicate_groups(large).tolist() == wanted.tolist()


@pytest.mark.parametrize("version", SEARCH_VERSIONS)
def test_different_faces_stay_apart(faces, version):
    assert np.bincount(duplicate_groups(faces, version=version)).max() == 1


def test_a_chain_of_near_identical_pictures_is_parted(faces):
    """Each frame shows the next one's margin; only neighbours overlap enough to be copies."""
    long = np.concatenate(faces[:4], axis=1)
    frames = np.stack([long[:, 14 * step : 14 * step + 48] for step in range(8)])
    groups = duplicate_groups(frames)
    assert np.bincount(groups).max() <= 3, "the two neighbours of a centre, and itself"
    copies = np.concatenate([frames, frames[:1] // 2 + 60])
    assert duplicate_groups(copies)[8] == duplicate_groups(copies)[0]


def test_copies_in_other_colours_are_found():
    rng = np.random.default_rng(3)
    small = rng.integers(0, 200, (6, 8, 8, 3), dtype=np.uint8)
    pictures = np.stack([np.asarray(Image.fromarray(one).resize((40, 30))) for one in small])
    tinted = np.clip(pictures[0] + np.array([32, -16, 4]), 0, 255).astype(np.uint8)
    groups = duplicate_groups(np.concatenate([pictures, tinted[None]]))
    assert groups.tolist() == [0, 1, 2, 3, 4, 5, 0]


def test_flat_pictures_are_copies_of_none():
    flat = np.full((3, 48, 48), [[[10]], [[90]], [[200]]], dtype=np.uint8)
    assert duplicate_groups(flat).tolist() == [0, 1, 2]


def test_the_likeness_of_pairs_is_high_for_copies_alone(faces):
    pictures = np.concatenate([faces[:5], [cropped(picture, 48) for picture in faces[:5]]])
    pairs = np.array([*((row, row + 5) for row in range(5)), (0, 6)])
    for version in SEARCH_VERSIONS:
        likeness = pair_likeness(pictures, pairs, version)
        assert likeness[:5].min() > 1.5 * likeness[5]


@pytest.mark.parametrize("version", SEARCH_VERSIONS)
def test_the_likeness_of_a_pair_does_not_depend_on_the_other_pairs(faces, version):
    pictures = np.concatenate([faces[:3], [cropped(picture, 48) for picture in faces[:3]]])
    pairs = np.array([(0, 1), (1, 4), (2, 5)])
    alone = [pair_likeness(pictures, pairs[row : row + 1], version)[0] for row in range(3)]
    assert min(alone[1:]) > 1.5 * alone[0], "two copies, and a pair of other faces"
    # float32 sums may be rounded in another way.
    np.testing.assert_allclose(pair_likeness(pictures, pairs, version), alone, atol=1e-4)


def test_copies_in_validation_and_test_are_counted():
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 3])
    splits = np.array(["train", "val", "test", "val", "test", "train", "train", "train"])
    assert count_duplicates(groups, splits) == {"groups": 3, "surplus": 4, "across_splits": 2}


def test_hashes_are_sha_256_of_the_pixels():
    pictures = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    wanted = [hashlib.sha256(bytes(range(6))), hashlib.sha256(bytes(range(6, 12)))]
    assert content_hashes(pictures) == [one.hexdigest() for one in wanted]


def test_groups_are_renumbered_by_their_first_picture():
    assert number_by_first(np.array([7, 3, 7, 0, 3, 9])).tolist() == [0, 1, 0, 2, 1, 3]


@pytest.mark.parametrize("near", [True, False])
def test_no_pictures_are_refused(near):
    with pytest.raises(ValueError, match="no picture is left after cleaning"):
        duplicate_groups(np.empty((0, 4, 4), dtype=np.uint8), near=near)
