"""Trials and their measurements: the terms that every part of a sweep shares."""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

METRICS = (
    "val_loss",
    "val_accuracy",
    "val_macro_precision",
    "val_macro_recall",
    "val_macro_f1",
    "val_micro_precision",
    "val_micro_recall",
    "val_micro_f1",
)
"""What is measured on the validation split after each epoch."""

DATASET_FOLDS = 10
"""Folds of a trial that has a ``fold`` and no ``folds``: those of the dataset's file."""

COSTS = ("parameters", "device_seconds")
"""Columns of the trials table that may be a further objective of a sweep."""

MEASURED = ("train_loss", "train_accuracy", *METRICS, "learning_rate")
"""Every figure of one epoch that decides or describes a result; equal on every repetition."""

TIMINGS = ("seconds", "images_per_second")
"""Figures of one epoch that differ from machine to machine: seconds of the whole epoch with its
validation, and training pictures per second of its training part."""


class Status(StrEnum):
    """Where a trial stands; derived from the ledger, never stored twice."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    EARLY_STOPPED = "EARLY_STOPPED"
    DIVERGED = "DIVERGED"
    INFEASIBLE = "INFEASIBLE"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"


FINISHED = frozenset(
    {Status.COMPLETED, Status.EARLY_STOPPED, Status.DIVERGED, Status.INFEASIBLE, Status.FAILED}
)
"""Statuses that a resumed sweep leaves as they are."""

Phase = Literal["search", "finalist"]
"""Why a trial is trained: for the search, or as a further replicate of a finalist."""


class Figures(Mapping[str, float]):
    """One number for each name in ``MEASURED`` and ``TIMINGS``, in a fifth of a dict's memory."""

    __slots__ = ("_numbers",)

    def __init__(self, values: Mapping[str, float]) -> None:
        self._numbers = array("d", [values[name] for name in _PLACES])

    def __getitem__(self, name: str) -> float:
        return self._numbers[_PLACES[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


_IN_LEDGER = (
    "train_loss",
    "train_accuracy",
    "learning_rate",
    *METRICS,
    "images_per_second",
    "seconds",
)
"""Names in ``MEASURED`` and ``TIMINGS`` in the order in which a line of the ledger has them."""
_PLACES = {name: place for place, name in enumerate(_IN_LEDGER)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The metrics of one trial at one epoch."""

    epoch: int
    """Epochs trained so far, counted from 1."""
    values: Mapping[str, float]
    """One figure for each name in ``MEASURED`` and ``TIMINGS``."""
    time: float = 0.0
    """When it was written to the ledger, in seconds since 1970."""

    @property
    def diverged(self) -> bool:
        """True if a loss is NaN or infinite."""
        return any(
            abs(self.values[name]) == float("inf") or self.values[name] != self.values[name]
            for name in ("train_loss", "val_loss")
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a trial ended, and why."""

    status: Status
    """One of ``FINISHED``."""
    reason: str


@dataclass(kw_only=True)
class Trial:
    """One training: a configuration, a seed and a fold, with all that the ledger says of it."""

    id: str
    configuration_id: str
    number: int
    """Order of proposal, from 0."""
    name: str
    phase: Phase
    replicate: int
    """0 for the search's own training of a configuration, then 1, 2, …"""
    config: Mapping[str, Any]
    """Every hyperparameter of `TrainConfig`, seed and fold among them."""
    epochs: int
    """Epochs that it was given."""
    measurements: list[Measurement] = field(default_factory=list)
    has_worker: bool = False
    """Whether a worker trains it, or did when its driver session ended."""
    interruption: str | None = None
    """Why its driver session ended while a worker trained it; None if none has."""
    ending: Ending | None = None
    """How it ended; None while it is to be trained."""
    parameters: int | None = None
    """Trainable parameters of the network, once a worker has built it."""
    host: str = ""
    device: str = ""
    devices: float = 1.0
    """Share of a GPU, by slots or by memory, or CPU cores that it held; times seconds gives
    device-seconds."""
    seconds: float = 0.0
    """Wall-clock seconds on a worker, all attempts together."""
    nodes_lost: int = 0
    """How often the node under it died, and it went on elsewhere."""

    @property
    def status(self) -> Status:
        """Where it stands, from what happened to it."""
        if self.ending is not None:
            return self.ending.status
        if not self.has_worker:
            return Status.PENDING
        return Status.RUNNING if self.interruption is None else Status.INTERRUPTED

    @property
    def reason(self) -> str:
        """Why it has its status, in words; empty if that needs no reason."""
        if self.ending is not None:
            return self.ending.reason
        return self.interruption or ""

    @property
    def draw(self) -> str:
        """Its seed, and its fold if it has one: what tells trials of a configuration apart."""
        fold = self.config.get("fold")
        return f"seed {self.config['seed']}" + ("" if fold is None else f" fold {fold}")

    @property
    def ended(self) -> bool:
        """True if a resumed sweep leaves it as it is."""
        return self.ending is not None

    @property
    def device_seconds(self) -> float:
        """Seconds that it trained, times the share of a GPU or the CPU cores that it held."""
        return self.seconds * self.devices

    @property
    def last(self) -> Measurement | None:
        """The measurement of the last epoch, if there is one."""
        return self.measurements[-1] if self.measurements else None

    def best(self, metric: str = "val_accuracy", mode: str = "max") -> Measurement | None:
        """Return the measurement with the best finite ``metric``, the earliest of equals."""
        sign = 1 if mode == "max" else -1
        finite = [m for m in self.measurements if abs(m.values[metric]) < float("inf")]
        return max(finite, key=lambda m: (sign * m.values[metric], -m.epoch), default=None)
