"""The interface between a sweep and the executor that trains its trials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from data_prep.reader import ImageDataset
from tune.execution.memory import MemoryRequest
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.sweep import Sweep


class EpochReport(NamedTuple):
    """The measurement of a trial after one epoch."""

    trial_id: str
    epoch: int
    """Epochs trained so far, from 1."""
    values: Mapping[str, float]
    """A value for each name in ``MEASURED`` and ``TIMINGS`` (`tune.run.trial`)."""


class Training(Protocol):
    """The training of a bundle's trials, epoch by epoch."""

    parameters: int
    """Trainable parameters of one network."""
    device: str
    """Name of the device that the training runs on."""

    def advance(self) -> list[EpochReport]:
        """Train one epoch; return a report for each trial that is still in the bundle.

        After a restart, the epoch of the checkpoint is reported again without training.
        """
        ...

    def end(self, trial_id: str) -> None:
        """Stop training one of several trials, and write its files."""
        ...

    def close(self) -> None:
        """Write the files of the trials that stop here."""
        ...


class MakeTraining(Protocol):
    """Opens trainings in a worker process, to which it is sent once."""

    def __call__(self, bundle: Bundle) -> Training:
        """Open the training of the bundle's trials."""
        ...

    def probe(self, bundle: Bundle) -> Fusing:
        """Measure whether fused training of the bundle's trials is faster."""
        ...

    def memory_request(self, bundle: Bundle) -> MemoryRequest | None:
        """Return the GPU memory that the trials need; None if no admission is necessary."""
        ...

    def peak_bytes(self) -> int:
        """Return the peak GPU memory of the last trials, in bytes."""
        ...


@dataclass(frozen=True, kw_only=True)
class SweepData:
    """The dataset of a sweep, and how a worker gets it."""

    dataset: ImageDataset
    read_copy: Callable[[], ImageDataset] | None = None
    """Reads the copy on the worker's own node; None if there are no copies."""


class Executor(Protocol):
    """Trains the bundles that a sweep hands out, on Ray or in this process."""

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """Train until the sweep is finished or stopping.

        Args:
            sweep: Hands out bundles (`Sweep.next_bundle`), and receives every epoch and failure.
            run: The run directory, where trainings write checkpoints and predictions.
            data: The dataset.
            on_step: Called often between epochs, so it must be cheap.
        """
        ...
