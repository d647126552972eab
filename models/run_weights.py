"""Finds a trial's best weights in a run directory, by the files that every run leaves.

Those of a running sweep too: its tables are at most a few seconds or epochs old.
"""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fairsweep.errors import UserError

TRIALS_FILE = "trials.parquet"
CHECKPOINTS_DIR = "checkpoints"
BEST_FILE = "best.pt"


class RunError(UserError):
    """A run directory, or a trial, that cannot be used as asked; the message is one line."""


def find_weights(run: Path, trial_id: str | None = None) -> Path:
    """Return the file with the best weights of a trial, by default the incumbent.

    Raises:
        RunError: ``run`` is no run directory, has no such trial or none that was trained, or the
            trial's weights are not kept.
    """
    path = run / TRIALS_FILE
    if not path.is_file():
        raise RunError(f"{run} is not a run directory (no {TRIALS_FILE}); `tune list` names them")
    table = pq.read_table(path)
    trials = table.to_pylist()
    if trial_id is None:
        trial_id = _incumbent(trials, json.loads(table.schema.metadata[b"sweep"])["objective"])
        if trial_id is None:
            raise RunError(f"{run} has no trained trial yet")
    kept = sorted(found.parent.name for found in (run / CHECKPOINTS_DIR).glob(f"*/{BEST_FILE}"))
    if trial_id in kept:
        return run / CHECKPOINTS_DIR / trial_id / BEST_FILE
    known = trial_id in {trial["trial_id"] for trial in trials}
    raise RunError(
        f"{run} {'keeps no weights of' if known else 'has no'} trial {trial_id}; --trial can be "
        f"{', '.join(kept) or 'none, for no weights are kept'}"
    )


def _incumbent(trials: list[dict[str, Any]], objective: dict[str, str]) -> str | None:
    """Return the trial with the best objective of those trained whole, else of all."""
    column = f"{objective['at']}_{objective['metric']}"
    sign = -1 if objective["mode"] == "max" else 1
    trained = [t for t in trials if t[column] is not None and math.isfinite(t[column])]
    ranked = sorted(
        trained, key=lambda t: (t["status"] != "COMPLETED", sign * t[column], t["number"])
    )
    return ranked[0]["trial_id"] if ranked else None
