"""The lease of a run: one writer at a time, whatever clocks, disks and frozen processes do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.slurm import wait_until
from tune import run_directory
from tune.run_directory import RunError, hold, holder_of
from tune.schema import LEASE_FILE

DRIVER = """
import sys, time
from pathlib import Path
from tune.run_directory import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
BEAT_SECONDS = 0.05
FOREIGN = json.dumps({"host": "elsewhere", "pid": 7, "started": 1.0})


@pytest.fixture
def lease(tmp_path, monkeypatch):
    """Where the lease of the run ``tmp_path`` lies; processes of this test beat fast."""
    monkeypatch.setattr(run_directory, "_HEARTBEAT_SECONDS", BEAT_SECONDS)
    return tmp_path / LEASE_FILE


def make_old(path):
    hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (hour_ago, hour_ago))


@contextmanager
def beating(path, clock):
    """A process elsewhere that holds the lease, and stamps it by ``clock``."""
    path.write_text(FOREIGN)
    done = threading.Event()

    def beat():
        while not done.wait(BEAT_SECONDS):
            now = clock()
            os.utime(path, None if now is None else (now, now))

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()


def test_a_driver_that_slept_through_a_takeover_ends_without_a_trace(lease, monkeypatch):
    run = lease.parent
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(run)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout.readline() == "held\n"
    driver.send_signal(signal.SIGSTOP)
    make_old(lease)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    with hold(run):
        ours = lease.read_text()
        driver.send_signal(signal.SIGCONT)
        _, errors = driver.communicate(timeout=30)
        assert driver.returncode == 130
        assert errors.startswith(f"error: another process has taken {run} over")
        assert errors.count("\n") == 1
        assert lease.read_text() == ours


def test_a_lease_is_given_back_by_its_holder_alone(lease, monkeypatch):
    with hold(lease.parent):
        assert holder_of(lease.parent)["pid"] == os.getpid()
    assert lease.read_text() == ""
    monkeypatch.setattr(run_directory, "_HEARTBEAT_SECONDS", 60.0)
    with hold(lease.parent):
        lease.write_text(FOREIGN)
    assert lease.read_text() == FOREIGN


def test_a_heartbeat_outlives_a_bad_moment_of_its_disk(lease):
    with hold(lease.parent):
        away = lease.rename(lease.with_name("away"))
        time.sleep(5 * BEAT_SECONDS)
        make_old(away)
        old = away.stat().st_mtime
        away.rename(lease)
        wait_until(lambda: lease.stat().st_mtime > old, seconds=5)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_here_voids_no_lease(lease, monkeypatch, hours):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    with beating(lease, clock=lambda: None):
        assert holder_of(lease.parent)["host"] == "elsewhere"
        with pytest.raises(RunError, match="in use by process 7 on elsewhere"), hold(lease.parent):
            pass
    make_old(lease)
    with hold(lease.parent):
        assert holder_of(lease.parent)["pid"] == os.getpid()


def test_a_wrong_clock_there_voids_no_lease(lease):
    with (
        beating(lease, clock=lambda: time.time() - 3600),
        pytest.raises(RunError, match="in use by process 7 on elsewhere"),
        hold(lease.parent),
    ):
        pass
    assert lease.read_text() == FOREIGN
