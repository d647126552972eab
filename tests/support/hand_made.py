"""Runs of a few trials of which only what is given is known; nothing of them is on disk."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.run.run_data import RunData
from tune.run.tables import TableInfo
from tune.run.trial import METRICS


def hand_made(
    metric=None, *, mode="max", at="best", answers=None, info=None, path=Path("nowhere"), **columns
):
    """Return a run with these columns of its trials.

    Args:
        metric: The only metric; by default, trials have those of our loop.
        mode: Direction of the objective.
        at: Epoch of the objective.
        answers: Trial id → (n,) whether each picture ``p0``, ``p1``, … is right.
        info: Changes of the `TableInfo`.
        path: The run directory.
        columns: Columns of the trials; a single value holds for all of them.
    """
    count = max(len(values) for values in columns.values() if isinstance(values, list))
    names = METRICS if metric is None else (metric,)
    facts = {
        "trial_id": [f"t{number}" for number in range(count)],
        "configuration_id": [f"c{number}" for number in range(count)],
        "name": [f"net {number}" for number in range(count)],
        "number": range(count),
        "phase": "search",
        "replicate": 0,
        "status": "COMPLETED",
        "reason": "",
        "epochs_trained": 4,
        "best_epoch": 2,
        "parameters": 7,
        "seconds": 1.0,
        "device_seconds": 1.0,
        "n": pd.array([None] * count, "Int64"),
        **{f"{when}_{name}": 0.5 for when in ("best", "last") for name in names},
    }
    trials = pd.DataFrame({**facts, **columns})
    told = {
        "hyperparameters": (),
        "searched": (),
        "tied": {},
        "objective": {"metric": metric or "val_accuracy", "mode": mode, "at": at},
        "classes": ("a", "b"),
        "searcher": "grid",
        "searcher_words": "grid search",
        "sampling": "every",
        "scheduler": "none",
        "scheduler_words": "no early stopping",
        "rungs": (),
    }
    return RunData(
        path=path,
        info=TableInfo(**{**told, **(info or {})}),
        trials=trials,
        measurements=pd.DataFrame(columns=["trial_id", "epoch", *names]),
        provenance={},
        spec="",
        margin=0.01,
        answers={name: _predicted(right) for name, right in (answers or {}).items()},
    )


def _predicted(right):
    """Return predictions of two classes; all pictures are of the first one."""
    return pd.DataFrame(
        {
            "image_id": [f"p{number}" for number in range(len(right))],
            "label": 0,
            "predicted": 1 - np.asarray(right, int),
            "probability": 0.75,
        }
    )
