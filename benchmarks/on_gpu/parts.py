"""Works off parts within a time limit, each in its own process, and writes every result at once."""

import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import hardware, write_pictures

Row = Mapping[str, Any]
"""A result: ``what``, and figures by name; a check also has ``passed``."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all parts work on."""

    device: str
    """``cuda`` or ``cpu``; on a CPU everything is smaller."""
    folder: Path
    """For temporary files."""
    data: Path | None = None
    """A prepared dataset for the figures."""
    cifar: Path | None = None
    """CIFAR-10 as a prepared dataset."""

    @property
    def small_count(self) -> int:
        """Pictures in the dataset of the checks."""
        return 3000 if self.on_gpu else 300

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU is to be proved."""
        return self.device == "cuda"

    @property
    def small(self) -> Path:
        """The dataset of the checks."""
        return self.folder / "small"

    def large(self, count: int) -> Path:
        """Return the dataset of the figures, which is written on the first call."""
        if not self.on_gpu:
            return self.small
        place = self.folder / "large"
        if not place.exists():
            write_pictures(place, count, self.data)
        return place


@dataclass(frozen=True, kw_only=True)
class Part:
    """A group of results that are found in one process."""

    name: str
    run: Callable[[Settings], Iterator[Row]]
    least_seconds: float
    """With less time left, the part is left out."""


class Results:
    """The file of results: JSON lines, each on disk as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends = float("inf")

    def begin(self, *, seconds: float) -> None:
        """Start the clock, and write what machine this is."""
        self._ends = time.monotonic() + seconds
        self.path.unlink(missing_ok=True)
        date = time.strftime("%Y-%m-%d %H:%M:%S")
        self.write("machine", {"what": "machine", "date": date, **hardware()})

    @property
    def seconds_left(self) -> float:
        """Seconds until the time limit."""
        return self._ends - time.monotonic()

    def write(self, part: str, row: Row) -> None:
        """Append a result and show it."""
        line = json.dumps({"part": part, **row}, default=str)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(line, flush=True)

    def read(self) -> list[dict[str, Any]]:
        """Return all results so far."""
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]

    def failed(self) -> list[str]:
        """Return the names of the checks that failed and of the parts that broke."""
        return [row["what"] for row in self.read() if row.get("passed") is False]


def work_off(parts: Sequence[Part], settings: Settings, results: Results) -> None:
    """Run one part after the other until the time is over."""
    for part in parts:
        left = results.seconds_left
        if left < part.least_seconds:
            reason = f"{max(left, 0):.0f} s are left, and it needs {part.least_seconds:.0f} s"
            results.write(part.name, {"what": f"{part.name} left out", "reason": reason})
            continue
        begun = time.monotonic()
        over = _in_time(part, settings, results, left)
        took = round(time.monotonic() - begun, 1)
        if over is not None:
            results.write(part.name, {"what": part.name, "seconds": took, **over})


def _in_time(part: Part, settings: Settings, results: Results, seconds: float) -> Row | None:
    """Run a part in a new process; return how it ended if it did not reach its own end."""
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(part, settings, results)
    )
    process.start()
    process.join(seconds)
    if process.is_alive():
        _kill_with_children(process.pid)
        process.join()
        return {"cut short": "the time is over"}
    if process.exitcode:
        return {"passed": False, "error": f"its process ended with {process.exitcode}"}
    return None


def _run(part: Part, settings: Settings, results: Results) -> None:
    """Write every result of a part; an exception is a result too."""
    # As usual again, so that loaders of other sides do not import torch anew in every epoch.
    multiprocessing.set_start_method(None, force=True)
    try:
        for row in part.run(settings):
            results.write(part.name, row)
    except Exception as error:  # The other parts still have something to show.
        told = f"{type(error).__name__}: {error}"
        where = traceback.format_exc().splitlines()[-8:]
        row = {"what": part.name, "passed": False, "error": told, "where": where}
        results.write(part.name, row)


def _kill_with_children(pid: int | None) -> None:
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=10)
