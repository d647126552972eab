"""Trains a sweep in this process, without Ray, for tests and simulations."""

import heapq
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tune.execution.executor import (
    AttemptFailedError,
    EpochReport,
    MakeTraining,
    NodeLostError,
    SweepData,
    Training,
    TrainingOverError,
    hear_end,
)
from tune.execution.memory import OutOfMemoryError
from tune.sweep.bundle import Bundle
from tune.sweep.clock import SimulatedClock
from tune.sweep.sweep import Sweep


@dataclass(kw_only=True, order=True)
class _Slot:
    """A bundle in training; the slot whose epoch ends first is the smallest."""

    ends: float
    """Simulated time at which its current epoch ends, in seconds."""
    number: int
    """Decides between epochs that end at the same time."""
    bundle: Bundle = field(compare=False)
    training: Training = field(compare=False)
    outcome: Sequence[EpochReport] | Exception = field(default=(), compare=False)
    """What its worker will report at ``ends``."""

    def train(self) -> None:
        """Train an epoch, to be reported when it ends."""
        try:
            self.outcome = self.training.advance()
        except Exception as error:  # As on Ray, any exception of a training is its failure.
            self.outcome = error
        else:
            self.ends += max(report.values["seconds"] for report in self.outcome)


@dataclass(frozen=True, kw_only=True)
class InProcessExecutor:
    """Trains bundles one epoch at a time, and reports epochs as parallel workers would.

    Each worker has its own simulated time, which is the sum of its epochs' seconds. An epoch is
    reported only when all epochs that end before it have been.
    """

    workers: int = 1
    make_training: MakeTraining | None = None
    """Opens trainings; None for our own training loop."""
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    """Shows the time of the report; a sweep with this clock has simulated times in its ledger."""

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """See `Executor.execute`."""
        make = self.make_training or _factory(sweep, run, data)
        slots: list[_Slot] = []
        opened = 0
        while True:
            while len(slots) < self.workers and (new := _open(sweep, make, self.workers)):
                bundle, training = new
                slot = _Slot(
                    ends=self.clock.seconds, number=opened, bundle=bundle, training=training
                )
                slot.train()
                heapq.heappush(slots, slot)
                opened += 1
            if not slots:
                return
            slot = heapq.heappop(slots)
            self.clock.seconds = slot.ends
            on_step()
            if _deliver(sweep, slot):
                slot.train()
                heapq.heappush(slots, slot)


def _factory(sweep: Sweep, run: Path, data: SweepData) -> MakeTraining:
    # Not at the top, because a simulation does without torch.
    from tune.execution.factories import make_factory

    return make_factory(sweep, run, data, threads=1)


def _open(sweep: Sweep, make: MakeTraining, workers: int) -> tuple[Bundle, Training] | None:
    """Open the training of the next bundle; None if the sweep has none now."""
    while (bundle := sweep.next_bundle(workers)) is not None:
        for trial_id in bundle.trials:
            sweep.start(trial_id, 1.0 / len(bundle.trials))
        if bundle.times_network and not sweep.hear_latency(bundle.trials, make.latency_ms(bundle)):
            continue
        if bundle.probe:
            fusing = make.probe(bundle)
            sweep.decide_fusing(fusing)
            if not fusing.fused:
                continue
            bundle = replace(bundle, folder=fusing.folder, channels_last=fusing.channels_last)
        try:
            return bundle, make(bundle)
        except AttemptFailedError as error:
            hear_end(sweep, bundle.key, error)
    return None


def _deliver(sweep: Sweep, slot: _Slot) -> bool:
    """Report the epoch of a bundle, or how it failed; return whether the bundle continues."""
    training, bundle, reports = slot.training, slot.bundle, slot.outcome
    if isinstance(reports, NodeLostError):
        for trial_id in reversed(list(bundle.trials)):
            hear_end(sweep, trial_id, reports)
        return False
    if isinstance(reports, OutOfMemoryError | AttemptFailedError | TrainingOverError):
        hear_end(sweep, bundle.key, reports)
        return False
    if isinstance(reports, Exception):
        for trial_id in reversed(list(bundle.trials)):
            sweep.attempt_failed(trial_id, f"{type(reports).__name__}: {reports}")
        return False
    over = [report.trial_id for report in reports if _report(sweep, training, report, len(reports))]
    if len(over) == len(reports):
        training.close()
        return False
    for trial_id in over:
        training.end(trial_id)
    return True


def _report(sweep: Sweep, training: Training, report: EpochReport, members: int) -> bool:
    worker = {
        "host": socket.gethostname(),
        "device": training.device,
        "parameters": training.parameters,
        "devices": 1.0 / members,
    }
    return sweep.report(report.trial_id, report.epoch, report.values, worker)
