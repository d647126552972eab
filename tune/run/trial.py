"""Trials and their measurements."""

import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
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
"""Metrics of our training loop on the validation split, measured after each epoch. The user's own
training code yields metrics of its own."""

DATASET_FOLDS = 10
"""Number of folds of a trial without ``folds``, whose ``fold`` is a column of the dataset."""

COSTS = ("parameters", "device_seconds")
"""Columns of the trials table that can be a further objective of a sweep."""

LATENCY = "latency_ms"
"""Another such column, of sweeps that measure it. Own training code may have a metric of this name.
"""

MEASURED = ("train_loss", "train_accuracy", *METRICS, "learning_rate")
"""All reproducible values of an epoch of our training loop."""

TIMINGS = ("seconds", "images_per_second")
"""Values of an epoch that depend on the machine: seconds of training and validation together, and
pictures per second of training. Only our training loop has the second."""


class Status(StrEnum):
    """Status of a trial, computed from the events in the ledger."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    EARLY_STOPPED = "EARLY_STOPPED"
    DIVERGED = "DIVERGED"
    INFEASIBLE = "INFEASIBLE"
    OVER_LIMIT = "OVER_LIMIT"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"


FINISHED = frozenset(
    {
        Status.COMPLETED,
        Status.EARLY_STOPPED,
        Status.DIVERGED,
        Status.INFEASIBLE,
        Status.OVER_LIMIT,
        Status.FAILED,
    }
)
"""Statuses that a resumed sweep does not change."""

Phase = Literal["search", "finalist"]
"""Why a trial is trained: for the search, or as a further replicate of a finalist."""


class Figures(Mapping[str, float]):
    """A number for each name, in a fifth of a dict's memory: equal names are shared.

    Those of our training loop are in the order of ``_IN_LEDGER``.
    """

    __slots__ = ("_numbers", "_places")

    def __init__(self, values: Mapping[str, float]) -> None:
        self._places = _places(tuple(values))
        self._numbers = array("d", [values[name] for name in self._places])

    def __getitem__(self, name: str) -> float:
        return self._numbers[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


_IN_LEDGER = (
    "train_loss",
    "train_accuracy",
    "learning_rate",
    *METRICS,
    "images_per_second",
    "seconds",
)
"""The names of ``MEASURED`` and ``TIMINGS`` in the order of a ledger line."""


@cache
def _places(names: tuple[str, ...]) -> Mapping[str, int]:
    ours = set(names).issuperset(_IN_LEDGER)
    return {name: place for place, name in enumerate(_IN_LEDGER if ours else names)}


def is_metric_name(name: str) -> bool:
    """Return whether a metric may have this name: a word that is no other column of a table."""
    return re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) is not None and name not in _RESERVED


_RESERVED = frozenset({"trial", "trial_id", "epoch", "time", *TIMINGS, *COSTS})


def is_loss(name: str) -> bool:
    """Return whether a metric is a loss by its name, such as ``val_loss``."""
    return name == "loss" or name.endswith("_loss")


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The metrics of one trial at one epoch."""

    epoch: int
    """Epochs trained so far, counted from 1."""
    values: Mapping[str, float]
    """The metrics by name, and ``seconds``; our training loop has all of ``MEASURED`` and
    ``TIMINGS``."""
    time: float = 0.0
    """When the measurement was written to the ledger, in seconds since 1970."""

    @property
    def diverged(self) -> bool:
        """Whether a loss is NaN or infinite, such as ``loss`` or ``val_loss``."""
        return any(
            not math.isfinite(number) for name, number in self.values.items() if is_loss(name)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a trial ended, and why."""

    status: Status
    """One of ``FINISHED``."""
    reason: str


@dataclass(kw_only=True)
class Trial:
    """The training of a configuration with a seed and a fold, and its history in the ledger."""

    id: str
    configuration_id: str
    number: int
    """Order of proposal, from 0."""
    name: str
    phase: Phase
    replicate: int
    """0 for the search's own training of a configuration, then 1, 2, …"""
    config: Mapping[str, Any]
    """All hyperparameters of `TrainConfig`, including seed and fold."""
    epochs: int
    """Number of epochs of the complete training."""
    measurements: list[Measurement] = field(default_factory=list)
    has_worker: bool = False
    """Whether a worker trains it, or trained it when its driver session ended."""
    interruption: str | None = None
    """Why its driver session ended while a worker trained it; None if that did not happen."""
    paused: bool = False
    """Whether the scheduler has paused it after its last epoch, and it may be taken up again."""
    ending: Ending | None = None
    """How it ended; None if it has not ended."""
    parameters: int | None = None
    """Trainable parameters of the network; None before a worker has built it."""
    latency_ms: float | None = None
    """Milliseconds in which its network predicts one picture (median); None if not measured."""
    host: str = ""
    device: str = ""
    devices: float = 1.0
    """Share of a GPU, or CPU cores, that the trial uses; multiplied by seconds, this gives
    device-seconds."""
    seconds: float = 0.0
    """Total wall-clock seconds on workers, over all attempts."""
    nodes_lost: int = 0
    """How often its node died and it moved to another one."""

    @property
    def status(self) -> Status:
        """The status, computed from the fields."""
        if self.ending is not None:
            return self.ending.status
        if self.paused:
            return Status.PAUSED
        if not self.has_worker:
            return Status.PENDING
        return Status.RUNNING if self.interruption is None else Status.INTERRUPTED

    @property
    def reason(self) -> str:
        """The reason for the status; empty if none is needed."""
        if self.ending is not None:
            return self.ending.reason
        if self.paused:
            return f"paused after epoch {len(self.measurements)}"
        return self.interruption or ""

    @property
    def draw(self) -> str:
        """Seed and fold in words, which distinguish the trials of a configuration."""
        fold = self.config.get("fold")
        return f"seed {self.config['seed']}" + ("" if fold is None else f" fold {fold}")

    @property
    def ended(self) -> bool:
        """Whether the trial has ended."""
        return self.ending is not None

    @property
    def device_seconds(self) -> float:
        """Seconds of training, multiplied by the share of a GPU or the CPU cores."""
        return self.seconds * self.devices

    @property
    def last(self) -> Measurement | None:
        """The measurement of the last epoch, if there is one."""
        return self.measurements[-1] if self.measurements else None

    def best(self, metric: str = "val_accuracy", mode: str = "max") -> Measurement | None:
        """Return the measurement with the best finite ``metric``, the earliest in case of ties."""
        sign = 1 if mode == "max" else -1
        finite = [m for m in self.measurements if math.isfinite(m.values.get(metric, math.nan))]
        return max(finite, key=lambda m: (sign * m.values[metric], -m.epoch), default=None)
