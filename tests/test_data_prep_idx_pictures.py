"""Pictures in idx files, as MNIST has them."""

import numpy as np
import pytest

from data_prep.idx_pictures import LABELS, PICTURES, find_in_idx, idx_files
from data_prep.layouts import find_source
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile
from tests.support.idx_files import write_idx


def write_split(folder, start, labels, *, height=9, width=8, suffix="", shift=0):
    """Write pictures whose pixels are their row, plus ``shift``."""
    pixels = np.arange(len(labels))[:, None, None] + np.full((1, height, width), shift)
    write_idx(folder / f"{start}{PICTURES}{suffix}", pixels)
    write_idx(folder / f"{start}{LABELS}{suffix}", labels)


def found_in(folder, **options):
    source = Source(name="digits", path=folder)
    return find_in_idx(source, SourcesFile(sources=(source,), image_size=8, **options))


def test_pictures_labels_and_splits_are_in_the_order_of_the_files(tmp_path):
    write_split(tmp_path, "train-", [7, 0, 10])
    write_split(tmp_path, "t10k-", [1, 7], shift=100, suffix=".gz")
    found = found_in(tmp_path)
    records = found.records
    assert found.rule == "labels of the set"
    assert [(r.name, r.label, r.subset, r.row) for r in records] == [
        ("test/000000", "1", "test", 0),
        ("test/000001", "7", "test", 1),
        ("train/000000", "7", "train", 0),
        ("train/000001", "0", "train", 1),
        ("train/000002", "10", "train", 2),
    ]
    assert [int(r.picture.pixels[0, 0]) for r in records] == [100, 101, 0, 1, 2]
    assert records[0].picture.shape == (9, 8)


def test_an_unpacked_file_is_used_before_a_packed_one_and_each_set_has_its_folder(tmp_path):
    write_split(tmp_path, "train-", [1, 2])
    write_split(tmp_path, "train-", [1, 2], suffix=".gz", shift=50)
    (tmp_path / "raw").mkdir()
    write_split(tmp_path / "raw", "test-", [3])
    files = idx_files(tmp_path)
    assert files["train"] == (tmp_path / f"train-{PICTURES}", tmp_path / f"train-{LABELS}")
    assert files["test"] == (tmp_path / f"raw/test-{PICTURES}", tmp_path / f"raw/test-{LABELS}")
    assert set(files) == {"train", "test"}
    for ending in (".bak", ".part"):
        (tmp_path / f"train-{PICTURES}{ending}").touch()
    assert idx_files(tmp_path) == files, "files of another ending are not read"
    write_split(tmp_path, "emnist-letters-train-", [1, 2])
    with pytest.raises(BadInputError, match="belong to two sets"):
        idx_files(tmp_path)


def test_a_folder_is_read_as_idx_without_being_asked(tmp_path):
    write_split(tmp_path, "train-", [1, 2])
    source = Source(name="digits", path=tmp_path)
    file = SourcesFile(sources=(source,), image_size=8)
    assert len(find_source(source, file, Rejections(may_skip=False)).records) == 2


@pytest.mark.parametrize("keep", [0, 5, -4])
def test_a_packed_file_that_is_damaged_is_told(tmp_path, keep):
    write_split(tmp_path, "train-", [1, 2], suffix=".gz")
    path = tmp_path / f"train-{LABELS}.gz"
    path.write_bytes(path.read_bytes()[:keep] or b"no gzip")
    with pytest.raises(BadInputError, match=f"{path.name}: cannot be read .*; download it again"):
        found_in(tmp_path)


def test_damaged_files_are_told(tmp_path):
    write_split(tmp_path, "train-", [1, 2, 3])
    write_idx(tmp_path / f"train-{LABELS}", [1, 2])
    with pytest.raises(BadInputError, match=r"holds 3 pictures, but .* 2 labels"):
        found_in(tmp_path)
    write_idx(tmp_path / f"train-{LABELS}", [1, 2, 3, 4])
    with pytest.raises(BadInputError, match=r"holds 3 pictures, but .* 4 labels"):
        found_in(tmp_path)
    whole = (tmp_path / f"train-{PICTURES}").read_bytes()
    for content in (whole[:-1], whole + b"0", b"\0\0\x0d" + whole[3:]):
        (tmp_path / f"train-{PICTURES}").write_bytes(content)
        with pytest.raises(BadInputError, match="is not an idx file of 3 dimensions, or is cut"):
            found_in(tmp_path)
