"""Keeps a sweep from filling its disk: refuses to start, and pauses until there is room again."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from models.state_size import state_bytes
from tune.run.directory import RunError
from tune.run.trial import Status
from tune.sweep.sweep import Sweep

SPARE_BYTES = 200_000_000
"""What must stay free beside checkpoints: for the ledger, tables and predictions."""
_POLL_SECONDS = 1.0


def needed_bytes(sweep: Sweep) -> int:
    """Return what must be free for the sweep to go on.

    A new checkpoint of each trial that runs, beside those that they replace, and one more for the
    trial that comes next; each as large as the largest so far.
    """
    trials = sweep.trials.values()
    sizes = [state_bytes(t.parameters or 0, t.config["optimizer"]) for t in trials]
    running = sum(trial.status is Status.RUNNING for trial in trials)
    return SPARE_BYTES + max(sizes, default=0) * (max(1, running) + 1)


def check_space(folder: Path, needed: int) -> None:
    """Refuse a start without room.

    Raises:
        RunError: Less than ``needed`` bytes are free below ``folder``.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"only {free / 1e6:.0f} MB are free for {folder}, but a sweep needs "
            f"{needed / 1e6:.0f} MB; free some, or run in another folder"
        )


def wait_for_space(
    run: Path, needed: int, *, tell: Callable[[str], None], give_up: Callable[[], bool]
) -> None:
    """Return when ``needed`` bytes are free, or as soon as ``give_up`` says so.

    Meanwhile no trial is told to go on, so that workers rest after the epoch they are in.
    """
    if shutil.disk_usage(run).free >= needed:
        return
    tell(
        f"paused: less than {needed / 1e6:.0f} MB are free for {run}; free some and it goes on, "
        "or stop it with Ctrl-C and resume it later"
    )
    while shutil.disk_usage(run).free < needed and not give_up():
        time.sleep(_POLL_SECONDS)
    tell("there is room again: going on")
