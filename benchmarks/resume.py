"""How soon a killed sweep trains again after `tune resume`, compared with a new sweep.

The time runs from the start of the command to the start of the first new epoch: the time of its
first new measurement in the ledger, minus the seconds that this epoch took.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import Result
from data_prep.synthetic import prepare_synthetic
from tune.run.directory import LEDGER_FILE

SPEC = """
name: small
data: data
fixed: {family: resnet, pool_size: 4, fc_width: 16, channels: 8, epochs: 1000}
space: {kernel_size: [3, 5], blocks: [1, 2]}
"""
EPOCHS_BEFORE_THE_KILL = 8
PATIENCE_SECONDS = 120.0
CODE = Path(__file__).parents[1]


def seconds_to_first_epoch(folder: Path, run: Path, *words: str) -> float:
    """Run a `tune` command until it has trained some epochs, then kill it and its children.

    Raises:
        RuntimeError: The command ended by itself, or trained nothing in time.
    """
    ledger = run / LEDGER_FILE
    known = ledger.stat().st_size if ledger.exists() else 0
    started = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "tune", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CODE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while len(measured := _new_measurements(ledger, known)) < EPOCHS_BEFORE_THE_KILL:
            if process.poll() is not None or time.time() - started > PATIENCE_SECONDS:
                raise RuntimeError(f"`tune {' '.join(words)}` trained nothing")
            time.sleep(0.1)
    finally:
        _kill_with_children(process)
    first = measured[0]
    return float(first["time"] - first["values"]["seconds"] - started)


def _new_measurements(ledger: Path, known_bytes: int) -> list[dict[str, Any]]:
    if not ledger.exists():
        return []
    *lines, _unfinished = ledger.read_bytes()[known_bytes:].split(b"\n")
    events = [json.loads(line) for line in lines]
    return [event for event in events if event["event"] == "measurement"]


def _kill_with_children(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        parent = psutil.Process(process.pid)
        processes = [parent, *parent.children(recursive=True)]
        for each in processes:
            each.kill()
        psutil.wait_procs(processes, timeout=10)
    process.wait()


def run(repetitions: int = 7) -> Iterator[Result]:
    """Alternate start and resume; report medians without the first turn, which warms the disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare_synthetic(out=folder / "data", images=1500, near_duplicates=False)
        (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
        fresh, resumed = [], []
        for turn in range(repetitions + 1):
            run_dir = folder / "runs" / f"turn-{turn}"
            words = ("run", "spec.yaml", "--name", run_dir.name)
            fresh.append(seconds_to_first_epoch(folder, run_dir, *words))
            resumed.append(seconds_to_first_epoch(folder, run_dir, "resume", str(run_dir)))
    yield Result(
        name="resume",
        unit="seconds to the first new epoch",
        ours=statistics.median(resumed[1:]),
        others={"fresh start": statistics.median(fresh[1:])},
        smaller_is_better=True,
        details={
            "each resume": [round(seconds, 2) for seconds in resumed[1:]],
            "each fresh start": [round(seconds, 2) for seconds in fresh[1:]],
        },
    )
