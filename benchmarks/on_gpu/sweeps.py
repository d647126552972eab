"""Checks a real sweep through Ray: trials share the card, and some or all of it is killed."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml

from benchmarks.on_gpu.parts import Row, Settings
from tune.run.directory import LEDGER_FILE
from tune.run.events import AttemptFailed, Event, MeasurementTaken, TrialEnded, TrialStarted
from tune.run.ledger import read_events
from tune.run.trial import Status

EPOCHS = 8
AT_ONCE = 4
"""Trials that share the card."""
TRIALS = 6
PATIENCE_SECONDS = 150.0
CODE = Path(__file__).parents[2]


def check(settings: Settings) -> Iterator[Row]:
    """Kill a worker, then the whole sweep, then resume it to its end; judge its ledger."""
    folder = settings.folder / "sweep"
    folder.mkdir()
    (folder / "spec.yaml").write_text(yaml.safe_dump(_spec(settings)), encoding="utf-8")
    run = folder / "runs" / "tiny"
    card = _Card(settings)
    with (folder / "output.txt").open("w") as output:
        first = _tune(folder, output, "run", "spec.yaml", "--name", run.name)
        _wait(run, first, card, lambda events: _count(events, MeasurementTaken) >= AT_ONCE)
        killed = _kill_a_worker(first)
        _wait(run, first, card, lambda events: _count(events, AttemptFailed) >= 1)
        before = _count(read_events(run), MeasurementTaken)
        _wait(run, first, card, lambda events: _count(events, MeasurementTaken) > before)
        _kill(first)
        again = _tune(folder, output, "resume", str(run))
        _wait(run, again, card, lambda _: again.poll() is not None)
    printed = (folder / "output.txt").read_text("utf-8", "replace").splitlines()
    yield from _judge(settings, read_events(run), killed, again.returncode, printed[-5:])
    yield card.judged()


def _spec(settings: Settings) -> dict[str, Any]:
    share = {"cpus": 1, "gpus": 1 / AT_ONCE} if settings.on_gpu else {"cpus": 1}
    size = {"channels": 16, "blocks": 2} if settings.on_gpu else {"channels": 4, "blocks": 1}
    fixed = {"family": "resnet", "pool_size": 6, "fc_width": 32, "epochs": EPOCHS, **size}
    return {
        "name": "tiny",
        "data": str(settings.small),
        "fixed": fixed,
        "space": {"weight_decay": [1e-4 * (1 + trial) for trial in range(TRIALS)]},
        "searcher": {"name": "grid"},
        "scheduler": {"name": "none"},
        "resources": {**share, "trials_at_once": AT_ONCE},
        "retries": 2,
    }


def _judge(
    settings: Settings, events: list[Event], killed: str, code: int | None, printed: list[str]
) -> Iterator[Row]:
    ends = Counter(str(event.status) for event in events if isinstance(event, TrialEnded))
    measured = [event for event in events if isinstance(event, MeasurementTaken)]
    epochs = Counter((event.trial, event.epoch) for event in measured)
    failed = [event.error for event in events if isinstance(event, AttemptFailed)]
    yield {
        "what": "a killed trial resumes",
        "passed": bool(failed) and ends == {str(Status.COMPLETED): TRIALS},
        "killed": killed,
        "told": failed[:1],
    }
    complete = len(epochs) == TRIALS * EPOCHS and set(epochs.values()) == {1}
    yield {
        "what": "a killed sweep resumes to its end, each epoch once in the ledger",
        "passed": complete and code == 0 and ends == {str(Status.COMPLETED): TRIALS},
        "ends": dict(ends),
        "printed": [] if code == 0 else printed,
    }
    devices = {event.device for event in measured if event.device}
    expected = torch.cuda.get_device_name() if settings.on_gpu else "cpu"
    yield {
        "what": "trials ran on the card, several at once",
        "passed": devices == {expected} and _most_at_once(events) > 1,
        "devices": sorted(devices),
        "at once": _most_at_once(events),
    }


def _most_at_once(events: list[Event]) -> int:
    """Return how many trials had reported, and not ended, at the same time."""
    running: set[str] = set()
    most = 0
    for event in events:
        match event:
            case MeasurementTaken():
                running.add(event.trial)
            case TrialStarted() | TrialEnded() | AttemptFailed():
                running.discard(event.trial)
        most = max(most, len(running))
    return most


class _Card:
    """Watches the memory of the card while a sweep runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._used = self._whole = 0

    def look(self) -> None:
        """Note the memory in use by all processes."""
        if self._settings.on_gpu:
            free, self._whole = torch.cuda.mem_get_info()
            self._used = max(self._used, self._whole - free)

    def judged(self) -> Row:
        """Judge the memory in use by all trials together."""
        passed = not self._settings.on_gpu or 0 < self._used < self._whole
        figures = {"MB in use at most": self._used // 10**6, "MB of the card": self._whole // 10**6}
        return {"what": "trials share the card within its memory", "passed": passed, **figures}


def _tune(folder: Path, output: Any, *words: str) -> "subprocess.Popen[bytes]":
    environment: Mapping[str, str] = os.environ | {"PYTHONPATH": str(CODE)}
    command = [sys.executable, "-m", "tune", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def _wait(
    run: Path,
    process: "subprocess.Popen[bytes]",
    card: _Card,
    reached: Callable[[list[Event]], bool],
) -> None:
    """Wait until the ledger has what is asked for, or the command has ended.

    Raises:
        TimeoutError: Neither happens in time.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None:
        card.look()
        if (run / LEDGER_FILE).exists() and reached(read_events(run)):
            return
        if time.monotonic() > until:
            raise TimeoutError(f"{run.name} stands still")
        time.sleep(0.1)


def _count(events: list[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


def _kill_a_worker(process: "subprocess.Popen[bytes]") -> str:
    """Kill one training process of the sweep; return its name."""
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            name = " ".join(child.cmdline()).strip()
            if name.startswith("ray::") and "Trainable" in name:
                child.kill()
                return name
    return "no worker was found"


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the driver and all that it started, at once."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=10)
    process.wait()
