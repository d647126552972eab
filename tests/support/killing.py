"""Commands that are killed: SIGKILL to a driver and all its processes, at a chosen moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tune.run.directory import LEDGER_FILE

PATIENCE_SECONDS = 120


def start_tune(folder, *words):
    """Start ``python -m tune`` in a folder."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-m", "tune", *map(str, words)],
        cwd=folder, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish_tune(folder, *words, patience=PATIENCE_SECONDS):
    """Run a command to its end, and return what it printed on stderr."""
    process = start_tune(folder, *words)
    _, errors = process.communicate(timeout=patience)
    assert process.returncode == 0, errors
    return errors


def kill_everything(process):
    """SIGKILL the driver and all that it started, at once."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)
    process.communicate()


def wait_for_line(run, process, number, patience=PATIENCE_SECONDS):
    """Return once the ledger has ``number`` whole lines."""
    ledger = run / LEDGER_FILE
    until = time.monotonic() + patience
    while not ledger.exists() or ledger.read_bytes().count(b"\n") < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the sweep stands still"
        time.sleep(0.001)
