"""Files are named with a hash of their content."""

import hashlib
import os

import pytest

from models.file_hash import content_hash, pin_weights, pinned_hash, shown


def test_a_file_is_pinned_by_its_absolute_path_and_content(tmp_path, monkeypatch):
    path = tmp_path / "my weights#2.pth"
    path.write_bytes(b"weights")
    # Frozen: ids of trials hold it.
    digest = hashlib.blake2b(b"weights", digest_size=8).hexdigest()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in (str(path), "my weights#2.pth", "~/my weights#2.pth"):
        assert pin_weights(given) == f"{path}#{digest}"
    assert pinned_hash(f"{path}#{digest}") == digest
    assert pinned_hash(str(path)) is None
    assert pin_weights("imagenet") == "imagenet"
    for no_file in (str(tmp_path), "imagenett", "ImageNet", "None", "timm", 4, None):
        with pytest.raises(
            ValueError, match=r"^must be none, imagenet or the path of a file"
        ) as no:
            pin_weights(no_file)
        assert str(no.value).endswith(f"but got {no_file!r}, and there is no such file")


def test_a_pinned_file_need_not_be_there():
    pinned = "/gone away/weights.pth#0123456789abcdef"
    assert pin_weights(pinned) == pinned


def test_a_file_that_has_changed_has_another_hash(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"old")
    before = content_hash(path)
    path.write_bytes(b"longer")
    longer = content_hash(path)
    # Of equal length, so that only the time tells.
    path.write_bytes(b"LONGER")
    os.utime(path, (1, 1))
    assert len({before, longer, content_hash(path)}) == 3
    assert content_hash(path) == hashlib.blake2b(b"LONGER", digest_size=8).hexdigest()


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"old")
    before = content_hash(path)
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: read.append(a) or digest(*a))
    assert content_hash(path) == before
    assert read == []
    path.write_bytes(b"newer")
    assert content_hash(path) != before
    assert len(read) == 1


def test_a_file_that_changes_twice_within_a_second_has_two_hashes(tmp_path):
    path = tmp_path / "weights.pth"
    hashes = set()
    for content, nanoseconds in ((b"old", 10**18), (b"new", 10**18 + 5 * 10**8)):
        path.write_bytes(content)
        os.utime(path, ns=(nanoseconds, nanoseconds))
        hashes.add(content_hash(path))
    assert len(hashes) == 2


@pytest.mark.parametrize("end", ["#0123456789abcde", "#0123456789ABCDEF", "#0123456789abcdef0", ""])
def test_another_end_of_a_name_is_no_hash(end):
    assert pinned_hash(f"weights.pth{end}") is None


def test_a_file_that_grows_at_the_same_time_has_another_hash(tmp_path):
    path, hashes = tmp_path / "weights.pth", set()
    for content in (b"old", b"longer"):
        path.write_bytes(content)
        os.utime(path, (1, 1))
        hashes.add(content_hash(path))
    assert len(hashes) == 2


def test_a_value_that_is_no_pinned_file_is_shown_as_it_is():
    assert [shown(value) for value in (0.5, True, "a/b.c", "/a/b.c.pt#0123456789abcdef")] == [
        "0.5", "True", "a/b.c", "b.c",
    ]  # fmt: skip
