"""Own training code whose epochs only take time, and that notes every epoch that it trains.

A ledger does not show what was trained twice, because a repeated epoch is not recorded again.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTES = Path("trained.jsonl")
"""In the folder from which the sweep was started; the same on all nodes."""
EPOCH_SECONDS = 1.0
STATE_BYTES = 64_000_000
"""So many that not every epoch is followed by a checkpoint."""


def train(
    *, place: int, epochs: int, folder: str, state: Any = None
) -> Iterator[tuple[dict[str, float], dict[str, Any]]]:
    """Yield the metrics and the state of each epoch.

    Args:
        place: Number of the trial in the space.
        epochs: Epochs of a complete trial.
        folder: Where the notes are.
        state: What was yielded last, or None at the start.
    """
    epoch = 0 if state is None else state["epoch"]
    _note(folder, "begun", place, epoch)
    while epoch < epochs:
        time.sleep(EPOCH_SECONDS)  # An epoch takes time and nothing else.
        epoch += 1
        _note(folder, "trained", place, epoch)
        yield {"val_accuracy": 1 - 1 / (epoch + place)}, {"epoch": epoch, "rest": _bytes(epoch)}


def _bytes(epoch: int) -> bytes:
    return bytes([epoch % 256]) * STATE_BYTES


def _note(folder: str, what: str, number: int, epoch: int) -> None:
    """Append a line at once; what a process has written outlives its SIGKILL."""
    values = {"what": what, "number": number, "epoch": epoch, "time": time.time()}
    file = os.open(Path(folder) / NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(values).encode() + b"\n")
    os.close(file)
