"""Checks what becomes of a trial that does not fit on the card: told, retried alone, given up."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.on_gpu.parts import Row, Settings
from models.loop import EpochResult, Loop
from tune.execution.in_process import InProcessExecutor
from tune.run.events import OutOfMemory
from tune.run.ledger import read_events
from tune.run.trial import Status
from tune.session.session import start
from tune.sweep.spec import parse_spec

SMALL, LARGE = 16, 64
"""Widths of the hidden linear layer of the two networks, on a CPU."""
LARGE_ON_GPU = 16_384
GPU_BYTES = 400_000_000
"""Memory that this process may take of the card; the larger network with Adam needs twice that."""


def check(settings: Settings) -> Iterator[Row]:
    """Run a sweep of a network that fits and one that does not, on too little memory."""
    large = LARGE_ON_GPU if settings.on_gpu else LARGE
    spec = parse_spec(
        {
            "name": "memory",
            "data": str(settings.small),
            "fixed": {"family": "resnet", "channels": 8, "blocks": 1, "epochs": 1},
            "space": {"fc_width": [large, SMALL]},
            "searcher": {"name": "grid"},
        }
    )
    limited = _little_memory() if settings.on_gpu else _pretended()
    with limited:
        run, sweep = start(spec, settings.folder / "memory", executor=InProcessExecutor())
    told = [event.error for event in read_events(run) if isinstance(event, OutOfMemory)]
    ends = {trial.config["fc_width"]: trial.status for trial in sweep.trials.values()}
    expected = {large: Status.INFEASIBLE, SMALL: Status.COMPLETED}
    yield {
        "what": "out of memory is told and retried alone",
        "passed": ends == expected and len(told) == 1,
        "told": told[:1],
        "ends": {str(width): str(status) for width, status in ends.items()},
        "MB kept of the card": torch.cuda.memory_reserved() // 10**6 if settings.on_gpu else 0,
    }


@contextmanager
def _little_memory() -> Iterator[None]:
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(GPU_BYTES / whole)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _pretended() -> AbstractContextManager[Any]:
    """Let a CPU run out of memory as a card would."""
    train = Loop.train_epoch

    def train_epoch(loop: Loop) -> list[EpochResult]:
        if loop.config.fc_width == LARGE:
            raise torch.OutOfMemoryError("a CPU that pretends to be full")
        return train(loop)

    return patch.object(Loop, "train_epoch", train_epoch)
