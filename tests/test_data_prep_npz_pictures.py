"""Pictures in an npz file, as MedMNIST and Keras have them."""

import io
import zipfile

import numpy as np
import pytest

from data_prep.npz_pictures import find_in_npz
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile


def found_in(path, *, colour=False, **arrays):
    np.savez(path, **arrays)
    return find(path, colour=colour)


def find(path, *, colour=False):
    source = Source(name="med", path=path)
    return find_in_npz(source, SourcesFile(sources=(source,), image_size=8, colour=colour))


def pictures(count, *planes, first=0):
    """Pictures whose pixels are their row, plus ``first``."""
    rows = np.arange(first, first + count, dtype=np.uint8)
    return np.ones((count, 8, 8, *planes), np.uint8) * rows.reshape(-1, *[1] * (2 + len(planes)))


def test_pictures_are_numbered_from_0_in_each_split_and_labels_are_flat_or_a_column(tmp_path):
    found = found_in(
        tmp_path / "set.npz",
        test_images=pictures(1, 1, first=60),
        test_labels=np.array([[4]]),
        train_images=pictures(3),
        train_labels=np.array([2, 0, 2]),
        x_val=pictures(2, first=30),
        y_val=np.array([1, 0]),
    )
    assert [(r.name, r.label, r.subset, r.row) for r in found.records] == [
        ("train/000000", "2", "train", 0),
        ("train/000001", "0", "train", 1),
        ("train/000002", "2", "train", 2),
        ("val/000000", "1", "val", 0),
        ("val/000001", "0", "val", 1),
        ("test/000000", "4", "test", 0),
    ]
    assert [int(r.picture.pixels[3, 3]) for r in found.records] == [0, 1, 2, 30, 31, 60]
    assert not found.in_colour


def test_pictures_of_a_split_without_labels_have_none(tmp_path):
    labelled = {"x_train": pictures(2), "y_train": np.array([1, 0])}
    found = found_in(tmp_path / "set.npz", **labelled, x_test=pictures(1, first=60))
    assert [(r.name, r.label, r.why_unlabelled) for r in found.records] == [
        ("train/000000", "1", "has no label"),
        ("train/000001", "0", "has no label"),
        ("test/000000", "", "has no label"),
    ]
    both = found_in(tmp_path / "both.npz", **labelled, train_images=pictures(1, first=60))
    assert [(r.name, r.label) for r in both.records] == [
        ("train/000000", "1"), ("train/000001", "0"),
    ]  # fmt: skip
    with pytest.raises(BadInputError, match="train_labels and so on are needed"):
        found_in(tmp_path / "none.npz", x_test=pictures(1))


def test_colours_keep_the_order_of_red_green_and_blue(tmp_path):
    pixels = pictures(1, 3)
    pixels[...] = (10, 20, 200)
    found = found_in(tmp_path / "c.npz", colour=True, train_images=pixels, train_labels=[0])
    assert found.records[0].picture.pixels[0, 0].tolist() == [10, 20, 200]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pictures_are_read_one_by_one_because_all_may_not_fit_into_memory(
    tmp_path, monkeypatch, save
):
    save(tmp_path / "a.npz", train_images=pictures(9), train_labels=np.arange(9))
    whole = []
    read = np.lib.npyio.NpzFile.__getitem__
    monkeypatch.setattr(
        np.lib.npyio.NpzFile, "__getitem__", lambda one, name: whole.append(name) or read(one, name)
    )
    found = find(tmp_path / "a.npz")
    assert [int(r.picture.pixels[0, 0]) for r in found.records] == list(range(9))
    assert whole == ["train_labels"]


def test_arrays_in_the_order_of_columns_are_read_alike(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(3)
    rows, columns = (
        found_in(tmp_path / f"{order}.npz", colour=True, train_labels=labels,
                 train_images=np.asarray(pixels, order=order))
        for order in "CF"
    )  # fmt: skip
    for row, one, other in zip(pixels, rows.records, columns.records, strict=True):
        np.testing.assert_array_equal(one.picture.pixels, row)
        np.testing.assert_array_equal(other.picture.pixels, row)


def test_pictures_that_are_cut_short_are_told(tmp_path):
    stream = io.BytesIO()
    np.save(stream, pictures(3))
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        archive.writestr("train_images.npy", stream.getvalue()[:-1])
        stream = io.BytesIO()
        np.save(stream, np.arange(3))
        archive.writestr("train_labels.npy", stream.getvalue())
    with pytest.raises(BadInputError, match=r"cannot be read \(its pictures are cut short"):
        find(tmp_path / "cut.npz")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (pictures(3), [0, 1], r"train pictures are 3, but there are 2 labels"),
        (pictures(2), [[0, 1], [1, 0]], "several labels each"),
        (pictures(2), 0, "several labels each"),
        (pictures(2).astype(np.float32), [0, 1], "float32 of shape"),
        (pictures(2, 4), [0, 1], r"uint8 of shape \(2, 8, 8, 4\)"),
    ],
)
def test_other_arrays_are_refused(tmp_path, images, labels, message):
    with pytest.raises(BadInputError, match=message) as told:
        found_in(tmp_path / "bad.npz", train_images=images, train_labels=labels)
    assert "download it again" not in str(told.value)
