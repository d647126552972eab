"""What must outlast a power cut is on disk, with its folder, before anything goes on."""

import os
from pathlib import Path

import pytest

from fairsweep import durable


@pytest.fixture
def synced(monkeypatch):
    """What was synced, and what the folder held then."""
    seen = []
    real = os.fsync

    def note(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        folder = path if path.is_dir() else path.parent
        seen.append((path.name, sorted(one.name for one in folder.iterdir())))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return seen


def test_a_file_is_synced_before_it_takes_its_place_and_its_folder_after(tmp_path, synced):
    durable.write_text(tmp_path / "a.txt", "whole")
    partial = f".a.txt.{os.getpid()}"
    assert synced == [(partial, [partial]), (tmp_path.name, ["a.txt"])]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_write_that_breaks_leaves_the_file_of_before(tmp_path):
    path = tmp_path / "a.txt"
    durable.write_text(path, "before")
    with pytest.raises(TypeError), durable.replaced(path) as partial:
        partial.write_text(len("aft"))
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_system_that_cannot_sync_folders_is_no_fault(tmp_path, monkeypatch):
    def refuse(_descriptor):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    durable.sync_folder(tmp_path)
