"""What a worker process leaves of a fatal signal, and how that is told."""

import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tune.execution.crashes import forget_crashes, read_crash

WORKER = """
import os, sys
from pathlib import Path
from tune.execution.crashes import note_crashes
note_crashes(Path(sys.argv[1]), "a1")
def train():
    os.kill(os.getpid(), int(sys.argv[2]))
train()
"""


def die(folder, number):
    """Let a worker process die of a signal."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder), str(int(number))],
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == -number


@pytest.mark.parametrize(
    "kind", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGBUS, signal.SIGFPE]
)
def test_a_fault_is_told_by_its_signal_with_versions_and_stack(tmp_path, kind):
    die(tmp_path / "errors", kind)
    crash = read_crash(tmp_path / "errors", "a1")
    assert crash.signal == kind.name
    assert crash.reason.startswith(
        f"its worker crashed with {kind.name}; usually a library fails on this processor"
    )
    versions = f"(torch {version('torch')}, numpy {version('numpy')}, "
    assert versions in crash.reason
    assert "in train" in crash.stack


def test_a_worker_that_was_killed_leaves_nothing_to_tell(tmp_path):
    die(tmp_path, signal.SIGKILL)
    for actor in ("a1", "unknown"):
        crash = read_crash(tmp_path, actor)
        assert (crash.signal, crash.stack) == (None, "")
        assert "SIGKILL; usually the machine ran out of memory" in crash.reason
    forget_crashes(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_stack_that_is_cut_off_within_a_letter_is_read_too(tmp_path):
    lines = "torch 2, a processor\nFatal Python error: Aborted\n  File übung.py".encode()
    (tmp_path / ".worker-a1").write_bytes(lines[: lines.index("ü".encode()) + 1])
    crash = read_crash(tmp_path, "a1")
    assert crash.reason.endswith("on this processor (torch 2, a processor)")
    assert (crash.signal, crash.stack.splitlines()[0]) == ("SIGABRT", "Fatal Python error: Aborted")
