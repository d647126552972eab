"""The folder of a local Ray: its user's own, short enough for sockets, and removed after."""

import fcntl
import os
import tempfile
from functools import partial
from pathlib import Path

import pytest

from tune.execution.own_folder import job_folder, private_folder, ray_folder


@pytest.fixture
def place(monkeypatch):
    """A folder that ``RAY_TMPDIR`` names; pytest's own have longer paths than sockets may."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


def test_only_its_user_can_enter_the_folder_and_nothing_of_it_stays(place):
    with ray_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


@pytest.mark.parametrize(("name", "is_used"), [("short", True), ("long" * 20, False)])
def test_a_temporary_folder_that_is_too_long_for_sockets_is_not_used(
    place, monkeypatch, name, is_used
):
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(place / name))
    (place / name).mkdir()
    with ray_folder() as folder:
        assert folder.parent == (place / name if is_used else Path("/tmp"))


def test_an_empty_tmpdir_names_no_folder(place, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", "")
    monkeypatch.chdir(place)
    with ray_folder() as folder:
        assert folder.parent == Path("/tmp")


def test_a_folder_that_ray_tmpdir_names_is_made_with_those_above_it(place, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(place / "a" / "b"))
    with ray_folder() as folder:
        assert folder.parent == place / "a" / "b"


@pytest.mark.parametrize("make", [ray_folder, partial(job_folder, "4711")])
def test_folders_of_killed_sessions_are_removed_and_those_in_use_are_kept(place, make):
    killed, used, link = (place / f"sweep-{os.getuid()}-{name}" for name in ("old", "used", "link"))
    elsewhere = place / "elsewhere"
    for folder in (killed, used, elsewhere):
        (folder / "session").mkdir(parents=True)
        (folder / "lock").touch()
    link.symlink_to(elsewhere)
    with (used / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with make():
            assert not killed.exists()
            assert (used / "session").is_dir()
            assert (elsewhere / "session").is_dir()


def test_the_folder_of_a_session_needs_room_for_its_object_store(place, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "tune.execution.own_folder.require_space",
        lambda parent, *, object_store_bytes: asked.append((parent, object_store_bytes)),
    )
    with ray_folder(object_store_bytes=7):
        assert asked == [(place, 7)]


def test_two_nodes_of_a_job_on_one_machine_share_its_folder_until_both_are_gone(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    with job_folder(f"test{os.getpid()}") as first:
        assert first.stat().st_mode & 0o777 == 0o700
        with job_folder(f"test{os.getpid()}") as second:
            assert first == second
            with ray_folder():
                assert first.is_dir(), "it is in use"
        (first / "ray").mkdir(parents=True)  # A Ray that still runs writes on.
    assert not first.exists()


def test_the_folder_of_a_job_is_where_the_site_says_and_its_sockets_fit(monkeypatch):
    name = f"sweep-{os.getuid()}-job-4711"
    most = 107 - 64 - len(f"/{name}")
    longest = place_of(most, monkeypatch)
    with job_folder("4711") as folder:
        assert folder == longest / name
    longest.rmdir()
    place_of(most + 1, monkeypatch)
    with pytest.raises(ValueError, match=f"has fewer than {most + 1} characters$"):
        job_folder("4711").__enter__()
    monkeypatch.delenv("RAY_TMPDIR")
    with job_folder("4711") as folder:
        assert folder == Path("/tmp") / name


def test_a_folder_that_others_can_enter_is_closed_and_a_link_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert private_folder(tmp_path / "open").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "open")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(ValueError, match=f"{name} must be a folder of your own.*RAY_TMPDIR"):
            private_folder(tmp_path / name)


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    with pytest.raises(ValueError, match="must be a folder of your own"):
        private_folder(tmp_path)


def test_a_place_that_is_too_long_for_sockets_is_refused_if_the_user_named_it(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + 30 * "x")
    with pytest.raises(ValueError, match="too long for Ray's sockets"), ray_folder():
        pass
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", "/tmp/" + 30 * "x")
    with ray_folder() as folder:
        assert str(folder).startswith("/tmp/sweep-")
        assert (
            len(f"{folder}/session_2026-11-26_19-46-48_123456_1234567/sockets/plasma_store") < 108
        )


def place_of(length, monkeypatch, name="RAY_TMPDIR", letter="x"):
    """Name a folder below ``/tmp`` whose path has so many bytes."""
    room = length - len("/tmp/")
    path = Path(f"/tmp/{letter * (room // len(letter.encode()))}")
    path = path.with_name(path.name + "x" * (length - len(os.fsencode(path))))
    assert len(os.fsencode(path)) == length
    monkeypatch.setenv(name, str(path))
    return path


@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_longest_place_for_sockets_is_used_and_no_longer_one(monkeypatch, letter):
    # A path has room for 107 bytes; Ray adds 64, and our own folder its name.
    most = 107 - 64 - len(f"/sweep-{os.getuid()}-12345678")
    longest = place_of(most, monkeypatch, letter=letter)
    with ray_folder() as folder:
        assert folder.parent == longest
    longest.rmdir()
    place_of(most + 1, monkeypatch, letter=letter)
    with pytest.raises(ValueError, match=f"has fewer than {most + 1} characters$"), ray_folder():
        pass


def test_a_folder_for_temporary_files_is_used_if_it_is_there(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as here:
        monkeypatch.setenv("TMPDIR", here)
        with ray_folder() as folder:
            assert folder.parent == Path(here)
    with ray_folder() as folder:
        assert folder.parent == Path("/tmp"), "what TMPDIR names is gone"
