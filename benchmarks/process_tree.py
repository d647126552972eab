"""Runs a command and measures it with all processes that it starts: time, CPU time and memory."""

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[1]
INTERVAL = 0.5
"""Seconds between two looks at the processes; shorter peaks can be missed."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a command used."""

    seconds: float
    cpu_seconds: float
    """User and system time of all processes."""
    peak_bytes: int
    """Most memory of all processes together, without the file cache."""
    peak_of_each: Mapping[str, int]
    """``command`` or the name of a process that it starts → most memory of one such process."""


def run_measured(
    command: Sequence[str], folder: Path, *, enough: tuple[str, float] | None = None
) -> Usage:
    """Run a command in ``folder``, which also takes its temporary files, and wait for it.

    Args:
        command: Program and arguments.
        folder: Working directory.
        enough: Beginning of a name, and CPU seconds; the command is killed as soon as its processes
            of such names have used so many together.

    Raises:
        RuntimeError: The command fails; its output is in the message.
    """
    log = folder / "output.txt"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(folder)}
    begun = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    cpu_seconds: dict[tuple[str, int, float], float] = {}
    peak, peaks = 0, defaultdict[str, int](int)
    while process.poll() is None:
        anonymous, shared = 0, 0
        for one in _tree(process.pid):
            try:
                times = one.cpu_times()
                name = "command" if one.pid == process.pid else _name(one)
                own, of_all = _memory(one.pid)
            except (psutil.Error, OSError, KeyError):  # It has just ended.
                continue
            cpu_seconds[name, one.pid, one.create_time()] = times.user + times.system
            peaks[name] = max(peaks[name], own)
            anonymous, shared = anonymous + own, max(shared, of_all)
        peak = max(peak, anonymous + shared)
        if enough and enough[1] < sum(
            used for (name, *_), used in cpu_seconds.items() if name.startswith(enough[0])
        ):
            _kill(process)
            break
        time.sleep(INTERVAL)
    if process.wait() and not enough:
        raise RuntimeError(f"{' '.join(command)} failed:\n{log.read_text()[-4000:]}")
    return Usage(
        seconds=time.perf_counter() - begun,
        cpu_seconds=sum(cpu_seconds.values()),
        peak_bytes=peak,
        peak_of_each=dict(peaks),
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    for one in _tree(process.pid):
        with suppress(psutil.Error):
            one.kill()


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _name(process: psutil.Process) -> str:
    """Return the name that a process gives itself, such as ``ray::Trainer``, or its program's."""
    title = " ".join(process.cmdline()).strip()
    return title.split(".")[0].split("(")[0] if title.startswith("ray::") else process.name()


def _memory(pid: int) -> tuple[int, int]:
    """Return the bytes of a process's own memory, and of memory that it shares with others."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Rss")}
    return 1024 * int(values["RssAnon"]), 1024 * int(values["RssShmem"])
