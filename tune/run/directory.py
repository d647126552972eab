"""What a run directory is: the names of its files and where they are.

All of `tune/run` needs no more than the standard library and pyarrow, so that a laptop without
torch or Ray can read a run.
"""

from pathlib import Path

from fairsweep.errors import UserError

SCHEMA_VERSION = 1

SPEC_FILE = "spec.yaml"
PROVENANCE_FILE = "provenance.json"
LEDGER_FILE = "events.jsonl"
TRIALS_FILE = "trials.parquet"
MEASUREMENTS_FILE = "measurements.parquet"
PREDICTIONS_DIR = "predictions"
CHECKPOINTS_DIR = "checkpoints"
REPORT_DIR = "report"
RAY_DIR = "ray"
INITIAL_FILE = "initial.pt"
"""The checkpoint that a retrained run starts from."""
GROUPS_FILE = "groups.csv"
"""The user's columns that a retrained run adds to those of its dataset."""
ERRORS_DIR = "errors"
"""Whole tracebacks of failed attempts, a file per trial."""
STOP_FILE = "stop"
"""While this file is there, workers write a checkpoint after each epoch and the sweep stops.
With ``-`` and a trial's id after its name, it asks for that trial alone to end."""
LEASE_FILE = "lease.json"

RUNS = Path("runs")
"""Where runs are, below the folder that a command is called in."""


class RunError(UserError):
    """A run directory that cannot be used as asked; the message is one line."""


def predictions_file(run: Path, trial_id: str) -> Path:
    """Return where a trial's predictions are, if it left any."""
    return run / PREDICTIONS_DIR / f"{trial_id}.parquet"


def best_weights(run: Path, trial_id: str) -> Path:
    """Return where a trial's best weights are, if they are kept."""
    return run / CHECKPOINTS_DIR / trial_id / "best.pt"
