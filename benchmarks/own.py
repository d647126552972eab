"""Own training code: the plain PyTorch example in our engine, and as a bare loop.

Both sides train the same trials one after the other on one CPU thread, in turn, several times. A
trial's seconds are those from one end to the next, so that they include all that comes between.
The overhead is measured on code that yields five times and trains nothing.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Result, in_process, write_pictures
from tune.run.events import TrialEnded
from tune.run.ledger import read_events
from tune.session.session import start
from tune.sweep.spec import load_spec, parse_spec

EXAMPLE = Path(__file__).parents[1] / "examples" / "torch_training.yaml"
TRIVIAL = "def train(*, rate: float):\n    while True:\n        yield {'val_accuracy': rate}\n"
REPORTS = 5
PICTURES = 2000


def rates(trials: int) -> list[float]:
    """Return a learning rate for each trial."""
    return [0.001 + 0.0001 * number for number in range(trials)]


def bare(data: Path, trials: int, epochs: int) -> dict[str, Any]:
    """Train with the example's function alone."""
    import torch

    train = import_module("examples.torch_training").train
    torch.set_num_threads(1)
    ends = []
    for rate in rates(trials):
        fixed = {"epochs": epochs, "seed": 0, "data": str(data), "device": "cpu"}
        for _ in train(learning_rate=rate, **fixed):
            pass
        ends.append(time.time())
    return {"seconds": _between(ends)}


def ours(data: Path, trials: int, epochs: int) -> dict[str, Any]:
    """Train with a sweep on Ray that trains one trial at a time."""
    changes = [
        f"data={data}",
        f"fixed.epochs={epochs}",
        f"space={{learning_rate: {rates(trials)}}}",
        "scheduler=none",
        "replicates=1",
        "resources={cpus: 1, trials_at_once: 1}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        run, _ = start(load_spec(EXAMPLE, changes), Path(folder) / "runs")
        return {"seconds": _ends(run)}


def trivial(trials: int) -> dict[str, Any]:
    """Run trials of own code that train nothing."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        (Path(folder) / "trivial.py").write_text(TRIVIAL)
        spec = parse_spec(
            {
                "name": "trivial",
                "train": "trivial:train",
                "fixed": {"epochs": REPORTS},
                "space": {"rate": rates(trials)},
                "resources": {"cpus": 1, "trials_at_once": 1},
            },
            folders=[Path(folder)],
        )
        run, _ = start(spec, Path(folder) / "runs")
        return {"seconds": _ends(run)}


def _ends(run: Path) -> list[float]:
    return _between([event.time for event in read_events(run) if isinstance(event, TrialEnded)])


def _between(ends: list[float]) -> list[float]:
    """Return the seconds between consecutive ends; the first trial warms up."""
    return [after - before for before, after in pairwise(ends)]


def run(trials: int = 9, epochs: int = 6, rounds: int = 3, many: int = 200) -> Iterator[Result]:
    """Measure both sides in turn, and the overhead of a trial."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pictures"
        write_pictures(data, PICTURES)
        seconds: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(rounds):
            for name, side in (("bare", bare), ("ours", ours)):
                seconds[name] += in_process(side, data, trials, epochs)["seconds"]
    overhead = in_process(trivial, many)["seconds"]
    yield Result(
        name="own",
        unit="seconds a trial (median)",
        ours=median(seconds["ours"]),
        others={"bare loop": median(seconds["bare"])},
        smaller_is_better=True,
        details={
            "trials of a side": len(seconds["ours"]),
            "rounds": rounds,
            "epochs a trial": epochs,
            "pictures": PICTURES,
            "more than the bare loop, %": round(
                100 * (median(seconds["ours"]) / median(seconds["bare"]) - 1), 2
            ),
            "overhead of a trial that trains nothing, seconds (median)": median(overhead),
            "reports of such a trial": REPORTS,
        },
    )
