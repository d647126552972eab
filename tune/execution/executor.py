"""The interface between a sweep and what trains its trials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from data_prep.reader import ImageDataset
from tune.execution.memory import MemoryRequest
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.sweep import Sweep


class EpochReport(NamedTuple):
    """What a trial measured after one epoch."""

    trial_id: str
    epoch: int
    """Epochs trained so far, from 1."""
    values: Mapping[str, float]
    """Every figure of ``MEASURED`` and ``TIMINGS`` (`tune.run.trial`)."""


class Training(Protocol):
    """The training of a bundle's trials, epoch by epoch."""

    parameters: int
    """Trainable parameters of one network."""
    device: str
    """Name of the device that it runs on."""

    def advance(self) -> list[EpochReport]:
        """Train one epoch; return a report for each trial that is still in the bundle.

        After a restart the epoch of the checkpoint is reported once more, untrained.
        """
        ...

    def end(self, trial_id: str) -> None:
        """Stop training one trial of several, and write its files."""
        ...

    def close(self) -> None:
        """Write the files that trials which stop here must leave."""
        ...


class MakeTraining(Protocol):
    """Opens trainings in a worker process; it is sent there once."""

    def __call__(self, bundle: Bundle) -> Training:
        """Open the training of these trials."""
        ...

    def probe(self, bundle: Bundle) -> Fusing:
        """Measure whether training these trials as one is faster."""
        ...

    def memory_request(self, bundle: Bundle) -> MemoryRequest | None:
        """Return what memory the trials need on their GPU; None where they need not ask."""
        ...

    def peak_bytes(self) -> int:
        """Return the most GPU memory that the last trials used."""
        ...


@dataclass(frozen=True, kw_only=True)
class SweepData:
    """The dataset of a sweep, and how a worker gets it."""

    dataset: ImageDataset
    read_copy: Callable[[], ImageDataset] | None = None
    """Reads the copy on the worker's own node, where there is one."""


class Executor(Protocol):
    """Trains what a sweep hands out: on Ray, or in this process."""

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """Train until the sweep is finished or told to stop.

        Args:
            sweep: Hands out bundles (`Sweep.next_bundle`) and hears every epoch and failure.
            run: The run directory, where trainings keep checkpoints and predictions.
            data: The dataset.
            on_step: Called often between epochs; cheap.
        """
        ...
