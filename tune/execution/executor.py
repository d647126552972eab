"""The interface between a sweep and the executor that trains its trials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from data_prep.reader import ImageDataset
from tune.execution.memory import MemoryRequest, OutOfMemoryError
from tune.run.trial import Status
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.sweep import Sweep

CHECKPOINT_SHARE = 0.05
"""Largest share of the training time that writing checkpoints may take."""


class AttemptFailedError(Exception):
    """An attempt to train a trial failed; the message is one line for the user."""


class TrainingOverError(Exception):
    """A training ended by itself before its last epoch; the message says how."""


class NodeLostError(Exception):
    """The node of a simulated training died; the message is its name. Ray says so otherwise."""


def hear_end(sweep: Sweep, trial_id: str, error: Exception) -> None:
    """Tell the sweep how a training ended other than by a report."""
    match error:
        case OutOfMemoryError():
            sweep.out_of_memory(trial_id, str(error))
        case NodeLostError():
            sweep.lose_attempt(trial_id, str(error))
        case TrainingOverError():
            sweep.give_up(trial_id, Status.EARLY_STOPPED, str(error))
        case _:
            sweep.attempt_failed(trial_id, str(error))


class EpochReport(NamedTuple):
    """The measurement of a trial after one epoch."""

    trial_id: str
    epoch: int
    """Epochs trained so far, from 1."""
    values: Mapping[str, float]
    """The metrics by name, and ``seconds`` (`tune.run.trial.Measurement`)."""


class Training(Protocol):
    """The training of a bundle's trials, epoch by epoch."""

    @property
    def parameters(self) -> int | None:
        """Trainable parameters of one network; None if they are not known."""
        ...

    @property
    def device(self) -> str:
        """Name of the device that the training runs on."""
        ...

    def advance(self) -> list[EpochReport]:
        """Train one epoch; return a report for each trial that is still in the bundle.

        After a restart, the epoch of the checkpoint is reported again without training.

        Raises:
            AttemptFailedError: The user's own code failed.
            OutOfMemoryError: There is not enough memory.
            TrainingOverError: The user's own code ended before the last epoch.
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

    def latency_ms(self, bundle: Bundle) -> float:
        """Measure how long the bundle's untrained network takes for one picture (median)."""
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
    """The data of a sweep, and how a worker gets it."""

    dataset: ImageDataset | None
    """None if own training code reads data that we do not know."""
    read_copy: Callable[[], ImageDataset] | None = None
    """Reads the copy on the worker's own node; None if there are no copies."""
    find: Callable[[], str | None] = lambda: None
    """Returns the path of the data on the worker's own node, for own training code."""


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
