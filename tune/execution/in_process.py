"""Trains a sweep in this process, without Ray, for tests and simulations."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tune.execution.executor import (
    AttemptFailedError,
    EpochReport,
    MakeTraining,
    SweepData,
    Training,
    TrainingOverError,
    hear_end,
)
from tune.execution.factories import make_factory
from tune.execution.memory import OutOfMemoryError
from tune.sweep.bundle import Bundle
from tune.sweep.sweep import Sweep


@dataclass(kw_only=True, eq=False)
class _Slot:
    """A bundle in training, and the simulated time of its worker."""

    bundle: Bundle
    training: Training
    seconds: float
    """Total seconds of all epochs that this worker has trained."""


@dataclass(frozen=True, kw_only=True)
class InProcessExecutor:
    """Trains bundles one epoch at a time.

    The worker whose epochs took the least time so far trains next, so that epochs end in the order
    in which parallel workers would end them.
    """

    workers: int = 1
    make_training: MakeTraining | None = None
    """Opens trainings; None for our own training loop."""

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """See `Executor.execute`."""
        make = self.make_training or make_factory(sweep, run, data, threads=1)
        idle = [0.0] * self.workers
        slots: list[_Slot] = []
        while True:
            while idle and (slot := _open(sweep, make, min(idle), self.workers)) is not None:
                idle.remove(slot.seconds)
                slots.append(slot)
            if not slots:
                return
            on_step()
            slot = min(slots, key=lambda slot: slot.seconds)
            if not _advance(sweep, slot):
                slots.remove(slot)
                # A free worker must not start a trial earlier than this, in simulated time.
                idle.append(slot.seconds)
                idle = [max(seconds, slot.seconds) for seconds in idle]


def _open(sweep: Sweep, make: MakeTraining, seconds: float, workers: int) -> _Slot | None:
    """Open the training of the next bundle; None if the sweep has none now."""
    while (bundle := sweep.next_bundle(workers)) is not None:
        for trial_id in bundle.trials:
            sweep.start(trial_id, 1.0 / len(bundle.trials))
        if bundle.probe:
            fusing = make.probe(bundle)
            sweep.decide_fusing(fusing)
            if not fusing.fused:
                continue
            bundle = replace(bundle, folder=fusing.folder, channels_last=fusing.channels_last)
        try:
            training = make(bundle)
        except AttemptFailedError as error:
            hear_end(sweep, bundle.key, error)
            continue
        return _Slot(bundle=bundle, training=training, seconds=seconds)
    return None


def _advance(sweep: Sweep, slot: _Slot) -> bool:
    """Train one epoch of a bundle and report it; return whether the bundle continues."""
    training, bundle = slot.training, slot.bundle
    try:
        reports = training.advance()
    except (OutOfMemoryError, AttemptFailedError, TrainingOverError) as error:
        hear_end(sweep, bundle.key, error)
        return False
    except Exception as error:  # As on Ray, any exception of a training is its failure.
        for trial_id in reversed(list(bundle.trials)):
            sweep.attempt_failed(trial_id, f"{type(error).__name__}: {error}")
        return False
    slot.seconds += max(report.values["seconds"] for report in reports)
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
