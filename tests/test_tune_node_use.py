"""How busy a node is, as its workers write it into the run directory."""

import json
import os
import socket
import time
from types import SimpleNamespace

import pytest

from tune.execution import node_use
from tune.execution.node_use import read_gpus, watch_node, write_use

SMI = """#!/bin/sh
case "$*" in *nounits*) ;; *) percent=' %' memory=' MiB' ;; esac
echo "0, NVIDIA H100 80GB HBM3, 97$percent, 40960$memory, 81559$memory"
echo "1, NVIDIA A100-SXM4-40GB, [N/A], 17.5$memory, 40960$memory"
echo 'a line of another kind'
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A function that puts a program in the place of nvidia-smi."""

    def install(text):
        path = tmp_path / "bin" / "nvidia-smi"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    return install


def test_cards_are_told_by_nvidias_program_and_what_it_does_not_know_is_none(smi):
    smi(SMI)
    assert read_gpus() == [
        {"index": "0", "name": "NVIDIA H100 80GB HBM3", "percent": 97.0,
         "memory": [40960 * 2**20, 81559 * 2**20]},
        {"index": "1", "name": "NVIDIA A100-SXM4-40GB", "percent": None,
         "memory": [35 * 2**19, 40960 * 2**20]},
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 9\n", "#!/bin/sh\nsleep 60\n"])
def test_a_program_that_fails_or_hangs_tells_of_no_cards(smi, monkeypatch, text):
    monkeypatch.setattr(node_use, "_ANSWER_SECONDS", 0.05)
    smi(text)
    assert read_gpus() == []


def test_without_the_program_there_are_no_cards(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_gpus() == []


def test_one_worker_of_a_node_writes_and_the_others_only_once_its_file_is_old(tmp_path):
    folder = tmp_path / "nodes"
    write_use(folder)
    path = folder / f"{socket.gethostname()}.json"
    first = json.loads(path.read_text())
    assert first["node"] == socket.gethostname()
    assert 0 < first["memory"][0] < first["memory"][1]
    path.write_text("by another worker")
    write_use(folder)
    assert path.read_text() == "by another worker"
    # A second early, or else every other turn is left out; and if a file server's clock is ahead.
    for seconds in (-node_use.WRITE_SECONDS + 0.8, -node_use.WRITE_SECONDS, 3600):
        path.write_text("old")
        os.utime(path, (time.time() + seconds, time.time() + seconds))
        write_use(folder)
        assert json.loads(path.read_text())["node"] == first["node"]
    assert [one.name for one in folder.iterdir()] == [path.name]


def test_memory_in_use_is_what_no_program_could_get(tmp_path, monkeypatch):
    memory = SimpleNamespace(total=1000, available=300, used=500)
    monkeypatch.setattr(node_use.psutil, "virtual_memory", lambda: memory)
    write_use(tmp_path)
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["memory"] == [700, 1000]


def test_a_worker_watches_its_node_beside_its_training(tmp_path, monkeypatch):
    monkeypatch.setattr(node_use, "_FIRST_SECONDS", 0.0)
    watch_node(tmp_path / "gone" / "nodes")  # Its run was removed; nothing is said of it.
    watch_node(tmp_path / "nodes")
    until = time.monotonic() + 30
    while not list(tmp_path.glob("nodes/*.json")):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_node_is_watched_on_after_a_file_that_could_not_be_written(tmp_path, monkeypatch):
    run, seen = tmp_path / "run", []

    def sleep(_seconds):
        seen.append(len(list(run.glob("nodes/*.json"))))
        if len(seen) == 2:
            run.mkdir()  # Until now, writing has failed.
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(node_use, "time", SimpleNamespace(sleep=sleep, time=time.time))
    with pytest.raises(KeyboardInterrupt):
        node_use._watch(run / "nodes")
    assert seen == [0, 0, 1]
