"""The layout of a run directory: the names and places of its files.

`tune/run` needs neither torch nor Ray, so that runs can be read where these are not installed.
"""

from pathlib import Path

from fairsweep.errors import UserError

SCHEMA_VERSION = 1

SPEC_FILE = "spec.yaml"
PROVENANCE_FILE = "provenance.json"
LEDGER_FILE = "events.jsonl"
TRIALS_FILE = "trials.parquet"
MEASUREMENTS_FILE = "measurements.parquet"
LATENCY_FILE = "latency.parquet"
PREDICTIONS_DIR = "predictions"
CHECKPOINTS_DIR = "checkpoints"
REPORT_DIR = "report"
RAY_DIR = "ray"
INITIAL_FILE = "initial.pt"
"""The checkpoint that a retrained run starts from."""
CODE_DIR = "code"
"""Copy of the user's own code, from which workers import it."""
GROUPS_FILE = "groups.csv"
"""The user's group columns, which a retrained run adds to those of its dataset."""
ERRORS_DIR = "errors"
"""Complete tracebacks of failed attempts, a file per trial."""
NODES_DIR = "nodes"
"""What each node's processors, cards and memory did last, a file per node."""
STOP_FILE = "stop"
"""While this file exists, workers write a checkpoint after each epoch and the sweep stops.
A file with ``-`` and a trial id after this name ends that trial only."""
RETRY_FILE = "retry"
"""While the sweep runs, this file asks it to train all failed trials again.
A file with ``-`` and a trial id after this name asks so for that trial only."""
LEASE_FILE = "lease.json"

ENSEMBLE = "ensemble"
"""Stands for a trial's id in the name of an ensemble's predictions, and in lists of openings of the
test split."""
RUNS = Path("runs")
"""Default folder of runs, relative to the working directory."""


class RunError(UserError):
    """A run directory cannot be used as requested; the message is one line."""


def predictions_file(run: Path, trial_id: str) -> Path:
    """Return the path of a trial's predictions, which may not exist."""
    return run / PREDICTIONS_DIR / f"{trial_id}.parquet"


def best_weights(run: Path, trial_id: str) -> Path:
    """Return the path of a trial's best weights, which may not exist."""
    return run / CHECKPOINTS_DIR / trial_id / "best.pt"


def requests_in(run: Path, *names: str) -> list[Path]:
    """Return the files by which users ask the driver for something.

    Args:
        run: The run directory.
        names: ``STOP_FILE`` or ``RETRY_FILE``; both the file of the run and those of its trials.
    """
    return [path for name in names for path in (*run.glob(name), *run.glob(f"{name}-*"))]
