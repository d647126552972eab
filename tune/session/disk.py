"""Keeps a sweep from filling its disk: refuses to start, or pauses until space is free."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from models.state_size import state_bytes
from tune.run.directory import RunError
from tune.run.trial import Status
from tune.sweep.sweep import Sweep

SPARE_BYTES = 200_000_000
"""Bytes that must stay free besides checkpoints, for the ledger, tables and predictions."""
_POLL_SECONDS = 1.0


def needed_bytes(sweep: Sweep) -> int:
    """Return how many bytes must be free for the sweep to continue.

    They hold a new checkpoint of each running trial, beside the one that it replaces, and one of
    the next trial; each as large as the largest so far.
    """
    trials = sweep.trials.values()
    # The states of own training code, whose parameters are not known, have no known size.
    sizes = [
        state_bytes(t.parameters, t.config["optimizer"], averaged=t.config.get("ema_decay", 0) > 0)
        for t in trials
        if t.parameters
    ]
    running = sum(trial.status is Status.RUNNING for trial in trials)
    return SPARE_BYTES + max(sizes, default=0) * (max(1, running) + 1)


def check_space(folder: Path, needed: int) -> None:
    """Check that a sweep has enough disk space to start.

    Raises:
        RunError: Less than ``needed`` bytes are free in ``folder``.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"only {free / 1e6:.0f} MB are free for {folder}, but a sweep needs "
            f"{needed / 1e6:.0f} MB; free some space, or run in another folder"
        )


def wait_for_space(
    run: Path, needed: int, *, tell: Callable[[str], None], give_up: Callable[[], bool]
) -> None:
    """Wait until ``needed`` bytes are free, or ``give_up`` returns True.

    Until then, workers pause after their current epoch.
    """
    if shutil.disk_usage(run).free >= needed:
        return
    tell(
        f"paused: less than {needed / 1e6:.0f} MB are free for {run}; free some space to continue, "
        "or stop with Ctrl-C and resume later"
    )
    while shutil.disk_usage(run).free < needed:
        if give_up():
            return
        time.sleep(_POLL_SECONDS)
    tell("there is enough space again: continuing")
