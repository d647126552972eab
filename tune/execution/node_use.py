"""Measures how busy a worker's node is, for the live page: processors, memory and cards.

Each node has one small file in the run directory. Whichever worker of the node finds it old writes
it, in a thread of its own, so that neither the driver nor the training waits.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil

WRITE_SECONDS = 10.0
"""How often the file of a node is written."""
_FIRST_SECONDS = 2.0
"""Time before the first measurement, because the use of processors is that since the last look."""
_ANSWER_SECONDS = 5.0
_QUERY = "index,name,utilization.gpu,memory.used,memory.total"


def watch_node(folder: Path) -> None:
    """Keep the file of this node up to date as long as this process lives.

    Args:
        folder: The run directory's folder for these files.
    """
    threading.Thread(target=_watch, args=(folder,), daemon=True, name="node-use").start()


def _watch(folder: Path) -> None:
    psutil.cpu_percent()
    time.sleep(_FIRST_SECONDS)
    while True:
        with contextlib.suppress(OSError):  # A full disk, or a run that was removed.
            write_use(folder)
        time.sleep(WRITE_SECONDS)


def write_use(folder: Path) -> None:
    """Measure this node and write its file, unless another worker has just done so."""
    node, percent = socket.gethostname(), psutil.cpu_percent()
    path = folder / f"{node}.json"
    if path.is_file() and 0 <= time.time() - path.stat().st_mtime < WRITE_SECONDS - 1:
        return
    memory = psutil.virtual_memory()
    use = {
        "node": node,
        "time": round(time.time(), 3),
        "cpu_percent": percent,
        "memory": [memory.total - memory.available, memory.total],
        "gpus": read_gpus(),
    }
    folder.mkdir(exist_ok=True)
    partial = folder / f".{node}.{os.getpid()}"
    partial.write_text(json.dumps(use), "utf-8")
    partial.replace(path)  # Not flushed to disk, because it is worth nothing after a power cut.


def read_gpus() -> list[dict[str, Any]]:
    """Return the cards of this node, as NVIDIA's own program tells.

    Each has ``index``, ``name``, ``percent`` of time in use, and ``memory``, the used and the total
    bytes. What the program does not know is None. Without the program the list is empty.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [_card(line) for line in answer.stdout.splitlines() if line.count(",") == 4]


def _card(line: str) -> dict[str, Any]:
    index, name, percent, used, total = (part.strip() for part in line.split(","))
    mebibytes = [_number(used), _number(total)]
    memory = [None if number is None else int(number * 2**20) for number in mebibytes]
    return {"index": index, "name": name, "percent": _number(percent), "memory": memory}


def _number(text: str) -> float | None:
    return float(text) if text.replace(".", "", 1).isdigit() else None
