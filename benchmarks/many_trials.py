"""What the driver pays for a very large sweep: 100,000 trials on 1,000 simulated workers.

The sweep, its ledger, its tables and the chores of a driver session are real; only the trainings
are played in this process, and nodes are lost while they run. Costs are CPU seconds, because other
work on the machine changes them less than seconds by the clock. The run is in memory where that
exists, so the time that a disk takes to flush the ledger is not in these figures.
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import Result, in_process, resident_bytes
from data_prep.reader import ImageDataset
from data_prep.synthetic import prepare_synthetic
from models.config import TrainConfig
from tune.execution.executor import EpochReport, NodeLostError, SweepData
from tune.execution.in_process import InProcessExecutor
from tune.run.directory import LEDGER_FILE, predictions_file
from tune.run.trial import MEASURED, TIMINGS
from tune.session.session import resume, start
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.spec import parse_spec
from tune.sweep.sweep import Sweep

TRIALS = (10_000, 30_000, 100_000)
WORKERS = 1000
PER_NODE = 8
EPOCHS = 5
CHECKPOINT_EPOCHS = 2
"""Epochs between two checkpoints of a played training."""
REPORTS_PER_LOSS = 2000
"""Every so many reports a node is lost, with all its trainings."""
MEMORY = Path("/dev/shm")

Figures = dict[str, Any]


@dataclass(kw_only=True)
class _Nodes:
    """How often each simulated node has been lost."""

    lost: Counter[int] = field(default_factory=Counter)
    reports: int = 0
    opened: int = 0

    def next_node(self) -> int:
        """Return the node of the next training that opens."""
        self.opened += 1
        return self.opened % (WORKERS // PER_NODE)

    def look(self, sweep: Sweep) -> None:
        """Count a report; lose a node, and let another join, when it is time."""
        self.reports += 1
        if self.reports % REPORTS_PER_LOSS:
            return
        node = self.reports // REPORTS_PER_LOSS % (WORKERS // PER_NODE)
        self.lost[node] += 1
        sweep.lose_node(f"node-{node}")
        sweep.join_node(f"node-{node}")


@dataclass(kw_only=True)
class _Trainings:
    """Opens played trainings at their last checkpoints."""

    run: Path
    predictions: Path
    nodes: _Nodes
    checkpoints: dict[str, int] = field(default_factory=dict)

    def __call__(self, bundle: Bundle) -> "_Training":
        return _Training(of=self, trial=bundle.key, epoch=self.checkpoints.get(bundle.key, 0))

    def latency_ms(self, bundle: Bundle) -> float:
        """Refuse: this benchmark times no networks."""
        raise NotImplementedError(bundle)

    def probe(self, bundle: Bundle) -> Fusing:
        return Fusing(trials=tuple(bundle.trials), fused=False, gain=0.0)

    def memory_request(self, _bundle: Bundle) -> None: ...

    def peak_bytes(self) -> int:
        return 0


class _Training:
    parameters, device = 50_000, "simulated"

    def __init__(self, *, of: _Trainings, trial: str, epoch: int) -> None:
        self._of, self._trial, self._epoch = of, trial, epoch
        self._node = of.nodes.next_node()
        self._losses = of.nodes.lost[self._node]

    def advance(self) -> list[EpochReport]:
        if self._of.nodes.lost[self._node] != self._losses:
            raise NodeLostError(f"node-{self._node}")
        self._epoch += 1
        if self._epoch % CHECKPOINT_EPOCHS == 0:
            self._of.checkpoints[self._trial] = self._epoch
        skill = int(self._trial[:6], 16) / 2**24
        accuracy = 0.3 + 0.1 * self._epoch * skill
        values = dict.fromkeys((*MEASURED, *TIMINGS), accuracy)
        values |= {"val_loss": 1 - accuracy, "seconds": 10 + 20 * skill}
        return [EpochReport(self._trial, self._epoch, values)]

    def end(self, _trial: str) -> None: ...

    def close(self) -> None:
        """Leave predictions, which a resume looks for: links to one whole file."""
        self._of.checkpoints.pop(self._trial, None)
        place = predictions_file(self._of.run, self._trial)
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            os.link(self._of.predictions, place)


@dataclass(frozen=True, kw_only=True)
class _Executor:
    """Plays the trainings of a sweep, and notes what the driver spends."""

    figures: Figures
    predictions: Path

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        nodes = _Nodes()
        assert data.dataset is not None
        _write_predictions(self.predictions, data.dataset)
        trainings = _Trainings(run=run, predictions=self.predictions, nodes=nodes)

        def step() -> None:
            nodes.look(sweep)
            on_step()

        memory, begun = resident_bytes(), time.process_time()
        InProcessExecutor(workers=WORKERS, make_training=trainings).execute(
            sweep, run, data, on_step=step
        )
        self.figures.update(
            driver_cpu_seconds=time.process_time() - begun,
            bytes=resident_bytes() - memory,
            nodes_lost=nodes.lost.total(),
            attempts_lost=sum(trial.nodes_lost for trial in sweep.trials.values()),
        )


def _write_predictions(path: Path, dataset: ImageDataset) -> None:
    """Write one file of predictions, to which those of all trials are links."""
    from tune.execution.predictions import write_predictions  # It imports torch.

    shape = (len(dataset.rows("val")), len(dataset.manifest.classes))
    write_predictions(
        path.parent,
        "template",
        dataset,
        split="val",
        config=TrainConfig(),
        epoch=1,
        probabilities=np.full(shape, 1 / shape[1], np.float32),
    )
    predictions_file(path.parent, "template").rename(path)


def search(folder: str, trials: int) -> Figures:
    """Run the sweep to its end in ``folder``; return what it cost."""
    spec = parse_spec(
        {
            "name": "many",
            "data": f"{folder}/data",
            "fixed": {"family": "resnet", "pool_size": 4, "fc_width": 16, "epochs": EPOCHS},
            "space": {
                "kernel_size": [3, 5],
                "learning_rate": {"low": 1e-6, "high": 1.0, "log": True},
                "weight_decay": {"low": 1e-6, "high": 1e-2, "log": True},
            },
            "searcher": {"name": "random", "samples": trials},
        }
    )
    figures: Figures = {}
    executor = _Executor(figures=figures, predictions=Path(folder) / "template.parquet")
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        run, sweep = start(spec, Path(folder) / "runs", executor=executor)
    if not sweep.finished or len(sweep.trials) != trials:
        raise RuntimeError(f"the simulated sweep has {len(sweep.trials):,} of {trials:,} trials")
    return figures | {"ledger_bytes": (run / LEDGER_FILE).stat().st_size}


def reopen(folder: str) -> Figures:
    """Resume the finished sweep; return seconds and memory."""
    memory, cpu, begun = resident_bytes(), time.process_time(), time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        resume(Path(folder) / "runs" / "many")
    return {
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - begun,
        "bytes": resident_bytes() - memory,
    }


def measure(trials: int) -> Figures:
    """Run and resume one sweep, each in a process of its own; return the costs."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        prepare_synthetic(out=Path(folder) / "data", images=300, near_duplicates=False)
        searched = in_process(search, folder, trials)
        resumed = in_process(reopen, folder)
    return {
        "driver CPU ms a trial": round(1000 * searched["driver_cpu_seconds"] / trials, 3),
        "kB of memory a trial": round(searched["bytes"] / trials / 1000, 1),
        "kB of ledger a trial": round(searched["ledger_bytes"] / trials / 1000, 2),
        "nodes lost": searched["nodes_lost"],
        "attempts lost with them": searched["attempts_lost"],
        "resume of the finished run, CPU s": round(resumed["cpu_seconds"], 1),
        "the same by the clock, s": round(resumed["seconds"], 1),
        "kB of memory a trial after it": round(resumed["bytes"] / trials / 1000, 1),
        "load average": round(psutil.getloadavg()[0], 1),
    }


def run(trials: Sequence[int] = TRIALS) -> Iterator[Result]:
    """Measure each number of trials, from the smallest to the largest."""
    figures = {}
    for count in sorted(trials):
        figures[count] = measure(count)
        print(f"{count:,} trials: {figures[count]}", flush=True)
    costs = {count: of_all["driver CPU ms a trial"] for count, of_all in figures.items()}
    *smaller, largest = costs
    yield Result(
        name="many_trials",
        unit=f"CPU ms of the driver a trial, {largest:,} trials on {WORKERS:,} workers",
        ours=costs[largest],
        others={f"{count:,}": costs[count] for count in smaller},
        smaller_is_better=True,
        details={f"{count:,} trials": of_all for count, of_all in figures.items()},
    )
