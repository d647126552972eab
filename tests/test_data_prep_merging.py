from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.ndimage import gaussian_filter

from data_prep.collecting import SourceImages
from data_prep.duplicates import SEARCH_VERSIONS, pair_likeness
from data_prep.merging import (
    STRONG_LIKENESS,
    alike,
    check_ids,
    doubts,
    merge,
    over_limit,
    repeated,
    told,
)
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile

CLASSES = ("neutral", "angry", "focused")


def part_of(name, labels, *, soft=None, columns=None, seed=0):
    count = len(labels)
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 16, 16), dtype=np.uint8)
    return SourceImages(
        ids=[f"{name}/{row}" for row in range(count)],
        pixels=pixels,
        labels=np.array(labels),
        columns=pa.table(columns or {"width": pa.array([10 * seed] * count, pa.int32())}),
        found=Counter(),
        soft_labels=soft,
    )


def sources_file(*names, limits=None):
    return SourcesFile(
        classes=CLASSES,
        sources=tuple(
            Source(name=name, path=name, limit=(limits or {}).get(name, {})) for name in names
        ),
    )


@pytest.fixture
def merged():
    """Sources z and a, in this order: three pictures and four; z knows distributions."""
    soft = np.array([[0.2, 0.8, 0], [1, 0, 0], [0.5, 0, 0.5]], dtype=np.float32)
    first = part_of("z", [1, 0, 2], soft=soft, seed=1)
    ages = {"age": ["old", None, "young", "old"], "width": pa.array([7, 8, 9, 10], pa.int32())}
    second = part_of("a", [2, 0, 0, 1], columns=ages, seed=2)
    return merge(sources_file("z", "a"), [first, second]), first, second


def test_sources_follow_one_another_in_their_order(merged):
    images, first, second = merged
    assert images.classes == CLASSES
    assert images.sources == ["z"] * 3 + ["a"] * 4
    assert images.image_ids == [*first.ids, *second.ids]
    np.testing.assert_array_equal(images.labels, [1, 0, 2, 2, 0, 0, 1])
    np.testing.assert_array_equal(images.pixels, np.concatenate([first.pixels, second.pixels]))


def test_columns_that_a_source_lacks_are_empty_there(merged):
    columns = {name: cells.to_pylist() for name, cells in merged[0].columns.items()}
    assert columns == {
        "width": [10, 10, 10, 7, 8, 9, 10],
        "age": [None, None, None, "old", None, "young", "old"],
    }


def test_a_column_of_small_and_of_large_numbers_is_joined():
    counts = [pa.array([9, 1], pa.int8()), pa.array([300, 2], pa.int32())]
    parts = [
        part_of(name, [0, 1], columns={"votes": of}) for name, of in zip("za", counts, strict=True)
    ]
    joined = merge(sources_file("z", "a"), parts).columns["votes"]
    assert joined.to_pylist() == [9, 1, 300, 2]


def test_pictures_without_a_distribution_are_certain_of_their_label(merged):
    images, first, _ = merged
    np.testing.assert_array_equal(images.soft_labels[:3], first.soft_labels)
    assert images.soft_labels[3:].tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_without_any_distribution_there_is_none():
    images = merge(sources_file("z", "a"), [part_of("z", [1]), part_of("a", [0], seed=1)])
    assert images.soft_labels is None


def test_a_copy_in_a_later_source_is_left_out_for_the_likest_of_the_earliest(merged):
    """Groups: {z0, z2, a0, a2}, {z1}, {a1, a3}; a0 is like z2, and a2 like z0."""
    images, *_ = merged
    images.pixels[3] = images.pixels[2]
    images.pixels[5] = images.pixels[0]
    found, doubtful = repeated(images, np.array([4, 1, 4, 4, 0, 4, 0]), "v1")
    assert (found, doubtful) == ({3: 2, 5: 0}, {})
    rejected = list(told(images, dict(reversed(found.items()))))
    assert [(one.image_id, one.file, one.row, one.reason) for one in rejected] == [
        ("a/0", "", None, "a copy of z/2"),
        (
            "a/2", "", None,
            "a copy of z/0, which is labelled 'angry' there and 'neutral' here",
        ),
    ]  # fmt: skip


def test_copies_inside_one_source_stay():
    images = merge(sources_file("z", "a"), [part_of("z", [1, 1]), part_of("a", [0, 0], seed=1)])
    for version in SEARCH_VERSIONS:
        assert repeated(images, np.array([0, 0, 1, 1]), version) == ({}, {})


def test_a_doubtful_copy_under_another_label_is_kept_and_told():
    """a0 is z0 with a strong stamp, a1 is z1 but darker, and a2 and a3 are z2 with a stamp."""
    z = part_of("z", [0, 0, 0])
    smooth = gaussian_filter(z.pixels.astype(float), (0, 1, 1))
    z = replace(z, pixels=((smooth - 90) * 3).clip(0, 255).astype(np.uint8))
    stamp = (40 * (np.arange(16) % 5 < 1)).astype(np.uint8)
    stamped = z.pixels // 3 + stamp
    again = np.stack([stamped[0], z.pixels[1] // 2, stamped[2], stamped[2]])
    images = merge(sources_file("z", "a"), [z, replace(part_of("a", [1, 1, 1, 0]), pixels=again)])
    groups = np.array([0, 1, 2, 0, 1, 2, 2])
    likeness = pair_likeness(images.pixels, np.array([[0, 3], [1, 4], [2, 5]]), "v2")
    assert likeness[1] > STRONG_LIKENESS > likeness[[0, 2]].max()
    assert repeated(images, groups, "v2") == ({4: 1, 6: 2}, {3: 0, 5: 2})
    assert repeated(images, groups, "v1") == ({3: 0, 4: 1, 5: 2, 6: 2}, {})
    assert list(alike(images, {4: 1, 3: 0})) == [
        {"image_id": "a/0", "label": "angry", "original": "z/0", "original_label": "neutral"},
        {"image_id": "a/1", "label": "angry", "original": "z/1", "original_label": "neutral"},
    ]
    assert [warning.split(" that")[0] for warning in doubts(1)] == [
        "1 pictures look like a picture of an earlier source"
    ]
    assert not list(doubts(0))


def test_in_large_groups_too_the_pictures_of_the_earlier_source_stay():
    """Numpy sorts few numbers in a stable way whatever it is asked for."""
    parts = [part_of(name, [0] * 200, seed=seed) for seed, name in enumerate("za")]
    images = merge(sources_file("z", "a"), parts)
    found, _ = repeated(images, np.arange(400) % 23, "v1")
    assert sorted(found) == list(range(200, 400))
    assert max(found.values()) < 200
    assert all(row % 23 == original % 23 for row, original in found.items())


def test_of_equally_like_originals_the_first_counts():
    parts = [part_of("z", [0, 0, 0], seed=1), part_of("a", [0], seed=1)]
    images = merge(sources_file("z", "a"), parts)
    images.pixels[:] = images.pixels[0]
    assert repeated(images, np.zeros(4, dtype=int), "v1") == ({3: 0}, {})


def test_of_three_sources_the_earliest_wins():
    parts = [part_of(name, [0, 1], seed=seed) for seed, name in enumerate("zam")]
    images = merge(sources_file(*"zam"), parts)
    groups = np.array([0, 1, 2, 0, 2, 0])
    assert repeated(images, groups, "v1") == ({3: 0, 5: 0, 4: 2}, {})


def test_a_limit_holds_for_its_own_source_and_class():
    """The rows are drawn with the seed; a limit that is not reached leaves out nothing."""
    labels = [0, 1, 0, 0, 1, 0, 2, 0]
    parts = [part_of("z", labels, seed=1), part_of("a", labels, seed=2)]
    file = sources_file("z", "a", limits={"a": {"neutral": 2, "angry": 2, "focused": 0}})
    images = merge(file, parts)
    out = over_limit(file, images, 6)
    rows = np.array([8, 10, 11, 13, 15])
    drawn = np.random.default_rng(6).permutation(rows)
    assert out.tolist() == sorted([*drawn[2:].tolist(), 14])
    others = {tuple(over_limit(file, images, seed).tolist()) for seed in range(8)}
    assert len(others) > 2
    assert over_limit(sources_file("z", "a"), images, 6).tolist() == []


def test_two_pictures_of_one_id_are_refused():
    images = merge(sources_file("z", "a"), [part_of("z", [0, 1]), part_of("a", [0], seed=1)])
    check_ids(images)
    images.image_ids[2] = "z/1"
    with pytest.raises(BadInputError, match="two different pictures have the id 'z/1'"):
        check_ids(images)
