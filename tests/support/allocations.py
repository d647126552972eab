"""Shell scripts that stand in for Slurm's programs, a job, and a run for them to work on."""

import json
import os
import threading
from pathlib import Path

from tests.support.sweeps import small_spec
from tune.launch import allocation
from tune.launch.job import SlurmJob
from tune.run.directory import LEDGER_FILE, RUNS
from tune.session.run_directory import write_spec

JOB = "4711"
VARIABLES = (
    *("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_GPUS_PER_NODE", "SLURM_CPUS_PER_TASK"),
    *("SLURM_GPUS_ON_NODE", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"),
    *("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "TUNE_PYTHON", "TUNE_NEEDS_GPUS"),
)
"""What a job finds in its environment; none of it is there before a test sets it."""


class Programs:
    """Puts shell scripts with names of Slurm's programs first on the path, in ``folder``."""

    def __init__(self, folder: Path, monkeypatch):
        self.folder = folder
        programs = folder / "slurm programs"
        programs.mkdir()
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
        monkeypatch.chdir(folder)
        for name in ("_cancelled", "_must_leave"):
            monkeypatch.setattr(allocation, name, threading.Event())
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)

    def __call__(self, name, body):
        """Write one script, which first notes how it was called."""
        path = self.folder / "slurm programs" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.folder}/asked"\n{body}\n')
        path.chmod(0o755)

    def asked(self):
        """Return how the scripts were called, line by line."""
        return (self.folder / "asked").read_text().splitlines()


def job_of(**changes):
    values = {"id": JOB, "nodes": ("n7", "n3"), "gpus": 2, "cpus": "16"}
    return SlurmJob(**{**values, **changes})


def write_run(events):
    """Write the run ``small`` with a ledger of these lines."""
    run = RUNS / "small"
    run.mkdir(parents=True, exist_ok=True)
    write_spec(run, small_spec())
    (run / LEDGER_FILE).write_text("".join(json.dumps(event) + "\n" for event in events))
    return run
