"""How far a sweep has come, for the live page: its rungs, its nodes, and what users asked of it."""

import json
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tune.run.directory import NODES_DIR, RETRY_FILE, STOP_FILE, requests_in
from tune.run.trial import Status, Trial
from tune.sweep.state import SweepState

MOST_RUNGS = 12
"""Most rows of rungs; a rule that compares trials at every epoch has hundreds, which are joined."""


def rungs_of(sweep: SweepState) -> list[dict[str, int]]:
    """Return how many trials of the search reached each rung, and how many were stopped there.

    A row is the rungs from epoch ``first`` to ``last``: ``reached`` counts the trials that were
    trained to ``first`` or further, ``stopped`` those that the scheduler stopped in between.
    """
    rungs = sweep.scheduler.rungs
    if not rungs:
        return []
    trained = sorted(len(t.measurements) for t in sweep.trials.values() if t.phase == "search")
    stops = Counter(
        cut.epoch
        for trial_id, cut in sweep.search.cuts.items()
        if sweep.trials[trial_id].status is Status.EARLY_STOPPED
    )
    size = -(-len(rungs) // MOST_RUNGS)
    joined = [rungs[start : start + size] for start in range(0, len(rungs), size)]
    return [
        {
            "first": row[0],
            "last": row[-1],
            "reached": len(trained) - bisect_right(trained, row[0] - 1),
            "stopped": sum(stops[rung] for rung in row),
        }
        for row in joined
    ]


def nodes_of(run: Path, sweep: SweepState, running: Iterable[Trial]) -> list[dict[str, Any]]:
    """Return the nodes that have trained trials or are measured, by name.

    ``devices`` has each device with the number of trials that run on it, as the ledger knows them,
    and ``use`` what `tune.execution.node_use` measured last, with its age in seconds; None if
    nothing is known.
    """
    on: dict[str, Counter[str]] = defaultdict(Counter)
    for trial in sweep.trials.values():
        if trial.host:
            on[trial.host][trial.device] += 0
    for trial in running:
        if trial.host:
            on[trial.host][trial.device] += 1
    uses = _uses(run)
    return [
        {"name": name, "devices": dict(sorted(on[name].items())), "use": uses.get(name)}
        for name in sorted(on.keys() | uses.keys())
    ]


def _uses(run: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in (run / NODES_DIR).glob("*.json"):
        try:
            use = json.loads(path.read_text("utf-8"))
            found[str(use.pop("node"))] = {**use, "age": max(0.0, time.time() - use["time"])}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue  # It was removed, or is no file of ours.
    return found


def asked_of(run: Path) -> list[str]:
    """Return the names of the files by which users ask a driver for something, see `directory`."""
    return sorted(path.name for path in requests_in(run, STOP_FILE, RETRY_FILE))
