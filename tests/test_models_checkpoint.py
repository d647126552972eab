import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import Timer
from zipfile import BadZipFile

import pytest
import torch

from models.checkpoint import CheckpointError, load, save


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"epoch": 3, "model": {"weight": torch.randn(4, 2)}, "rates": [0.1, None]}
    save(tmp_path / "last.pt", state)
    again = load(tmp_path / "last.pt")
    assert torch.equal(again["model"].pop("weight"), state["model"].pop("weight"))
    assert again == state
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_told(tmp_path, share):
    path = tmp_path / "last.pt"
    save(path, {"weight": torch.randn(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"last\.pt is damaged"):
        load(path)


def test_a_changed_byte_is_told(tmp_path):
    path = tmp_path / "last.pt"
    weight = torch.randn(1000)
    save(path, {"weight": weight})
    changed = bytearray(path.read_bytes())
    changed[changed.index(weight.numpy().tobytes()) + 500] ^= 1
    path.write_bytes(changed)
    # Of the files in the archive, that of the first tensor.
    with pytest.raises(CheckpointError, match=r"/data/0 has a wrong checksum$"):
        load(path)


@pytest.mark.filterwarnings("ignore")
def test_a_file_with_any_other_byte_is_told_or_read(tmp_path):
    """Zip's own records have no checksum, so that damage shows as exceptions of many kinds."""
    path = tmp_path / "last.pt"
    save(path, {"epoch": 1, "weight": torch.arange(3.0)})
    whole, told, bare = path.read_bytes(), set(), False
    for place in (*range(64), *range(len(whole) - 560, len(whole))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            load(path)
        except CheckpointError as error:
            told.add(type(error.__cause__))
            bare |= str(error).endswith(": ")
    assert not bare  # Some exceptions have no words of their own.
    kinds = (BadZipFile, EOFError, OSError, RuntimeError, ValueError)
    assert {kind for kind in kinds if any(issubclass(one, kind) for one in told)} == set(kinds)


def test_a_file_of_another_kind_is_told(tmp_path):
    path = tmp_path / "last.pt"
    path.write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match=r"last\.pt is damaged or not a checkpoint"):
        load(path)


def test_an_object_that_could_run_code_is_not_read(tmp_path):
    path = tmp_path / "last.pt"
    torch.save({"code": print}, path)
    with pytest.raises(
        CheckpointError, match=r"last\.pt is damaged or not .*; delete it: Weights"
    ) as told:
        load(path)
    assert "\n" not in str(told.value)  # Torch's reason has several lines.


def test_a_missing_file_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "last.pt")


WRITER = """
import sys
from collections import OrderedDict
from pathlib import Path
from models.checkpoint import save

class Rest:
    def __reduce__(self):  # In the middle of the write.
        print("writing", flush=True)
        sys.stdin.readline()
        return (OrderedDict, ())

for epoch in (2, 3):
    save(Path(sys.argv[1]), {"epoch": epoch, "rest": Rest()})
"""


@pytest.fixture
def other(tmp_path):
    """A process that has begun to write ``tmp_path/last.pt``; told a line, it ends it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", WRITER, str(tmp_path / "last.pt")]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], **pipes) as other:
        # Whoever waits for it in vain goes on, and finds that it was killed.
        deadline = Timer(120, other.kill)
        deadline.start()
        assert other.stdout.readline() == "writing\n"
        yield other
        deadline.cancel()
        other.kill()


def test_two_writers_of_one_file_leave_one_whole_and_nothing_of_one_that_was_killed(
    tmp_path, other
):
    path = tmp_path / "last.pt"
    save(path, {"epoch": 1})
    assert load(path) == {"epoch": 1}
    other.stdin.write("\n")
    other.stdin.flush()
    assert other.stdout.readline() == "writing\n"  # Its second file.
    assert load(path) == {"epoch": 2, "rest": {}}
    other.kill()
    other.wait()
    assert len(list(tmp_path.iterdir())) == 2
    save(tmp_path / "best.pt", {"epoch": 1})
    assert len(list(tmp_path.iterdir())) == 3
    save(path, {"epoch": 1})
    assert {path.name for path in tmp_path.iterdir()} == {"best.pt", "last.pt"}


def test_a_write_that_fails_leaves_the_old_checkpoint_alone(tmp_path):
    path = tmp_path / "last.pt"
    save(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save(path, {"epoch": lambda: 2})
    assert load(path) == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_checkpoint_is_on_disk_before_it_takes_the_old_one_s_place(tmp_path, monkeypatch):
    folder = tmp_path / "a run"
    folder.mkdir()
    path = folder / "last.pt"
    save(path, {"epoch": 1})
    flushed = []

    def fsync(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            flushed.append((load(path)["epoch"], [one.name for one in folder.iterdir()]))
            return
        (partial,) = set(folder.iterdir()) - {path}
        flushed.append((load(path)["epoch"], load(partial)["epoch"], os.fstat(number).st_size))
        assert partial.name.startswith(".")  # No pattern of a user's finds it.
        assert flushed[-1][2] == partial.stat().st_size

    monkeypatch.setattr(os, "fsync", fsync)
    save(path, {"epoch": 2})
    assert [one[:2] for one in flushed] == [(1, 2), (2, ["last.pt"])]
    assert load(path) == {"epoch": 2}


def test_a_partial_file_of_another_checkpoint_is_left_alone(tmp_path):
    of_others = [
        tmp_path / name
        for name in (
            ".best.pt.0.partial",
            ".last.csv.0.partial",
            "last.pt.0",
            ".last.pt.0",
        )
    ]
    for one in of_others:
        one.write_text("somebody else's")
    save(tmp_path / "last.pt", {"epoch": 1})
    assert all(one.is_file() for one in of_others)
