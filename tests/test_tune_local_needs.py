"""What Ray needs of a machine is there, or told in a line before it starts."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fairsweep.errors import UserError
from tune.execution import local_needs as module


@pytest.mark.parametrize(
    ("soft", "hard", "set_to"),
    [(64, 64, (64, 64)), (1024, 4096, (4096, 4096)), (1024, 1 << 20, (1 << 16, 1 << 20)),
     (256, resource.RLIM_INFINITY, (1 << 16, resource.RLIM_INFINITY)), (1 << 17, 1 << 20, None),
     (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None)],
)  # fmt: skip
def test_ray_gets_as_many_open_files_as_are_allowed(monkeypatch, soft, hard, set_to):
    done = []
    monkeypatch.setattr(module.resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(module.resource, "setrlimit", lambda *words: done.append(words))
    module.allow_files(2)
    assert done == ([] if set_to is None else [(resource.RLIMIT_NOFILE, set_to)])


def test_too_few_open_files_are_told_before_ray_waits_for_itself():
    cores = os.cpu_count()
    needed = 58 + 3 * cores
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {(needed - 1,) * 2})\n"
    start = (
        "from tune.execution.ray_server import local_ray\nwith local_ray(object_store_bytes=1): 0"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited + start], capture_output=True, text=True, check=False
    )
    told = f"Ray needs at least {needed} open files on {cores} cores, and {needed - 1} are allowed"
    assert told in done.stderr


def test_each_core_needs_open_files_of_its_own(monkeypatch):
    monkeypatch.setattr(module.resource, "getrlimit", lambda _kind: (250, 250))
    monkeypatch.setattr(module.resource, "setrlimit", lambda *_words: None)
    module.allow_files(64)
    with pytest.raises(UserError, match="at least 253 open files on 65 cores, and 250 are allowed"):
        module.allow_files(65)


@pytest.fixture
def machine(monkeypatch):
    """A machine with so much free in its shared memory and on the disk of a folder."""
    machine = SimpleNamespace(shared=0, free=0)
    monkeypatch.setattr(module, "_free_shared_memory", lambda: machine.shared)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _folder: machine)
    return machine


@pytest.mark.parametrize(
    ("shared", "least", "what"),
    [
        (300_000_000, 20_000_000, "logs"),
        (299_999_999, 120_000_000, "logs and the dataset, for which /dev/shm is too small"),
    ],
)
def test_a_folder_needs_room_for_logs_and_for_a_dataset_that_shared_memory_cannot_hold(
    machine, shared, least, what
):
    machine.shared, machine.free = shared, least
    module.require_space(Path("/tmp"), object_store_bytes=300_000_000)
    machine.free = least - 1_000_000
    with pytest.raises(UserError) as told:
        module.require_space(Path("/tmp"), object_store_bytes=300_000_000)
    assert str(told.value) == (
        f"only {machine.free // 1_000_000} MB are free in /tmp, but Ray needs "
        f"{least // 1_000_000} MB there for its {what}; free some, or set RAY_TMPDIR to a folder "
        "on a larger disk"
    )


def test_shared_memory_is_counted_as_ray_counts_it(monkeypatch, tmp_path):
    from ray._private.utils import get_shared_memory_bytes

    ours, rays = module._free_shared_memory(), get_shared_memory_bytes()
    assert abs(ours - rays) < 100_000_000, "others may use some meanwhile"
    monkeypatch.setattr(module, "_SHARED_MEMORY", tmp_path / "none")
    assert module._free_shared_memory() == 0
    counts = SimpleNamespace(f_bsize=4096, f_frsize=512, f_blocks=90, f_bfree=50, f_bavail=20)
    monkeypatch.setattr(module.os, "statvfs", lambda _folder: counts)
    assert module._free_shared_memory() == 20 * 4096
