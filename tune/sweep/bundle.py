"""The unit of work of a worker: one trial, or several trials that are trained fused."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Trials for one worker, which receives the bundle as JSON."""

    trials: Mapping[str, Mapping[str, Any]]
    """Trial id → all hyperparameters of the trial."""
    folder: str
    """Folder of their state below ``checkpoints``; for a single trial, its id."""
    exclusive: bool = False
    """Whether the bundle needs the whole GPU."""
    channels_last: bool = True
    """Memory layout of the networks and pictures."""
    probe: bool = False
    """Whether the worker must first measure whether fused training is faster."""
    pauses_after: tuple[int, ...] = ()
    """Epochs after which the trial may pause, so that its state must be on disk by then."""
    times_network: bool = False
    """Whether the worker must first measure the latency of the network, before the probe."""

    @property
    def key(self) -> str:
        """The id of the first trial, which identifies the bundle while it runs."""
        return next(iter(self.trials))

    def to_json(self) -> str:
        """Return the bundle as one string, which Ray sends faster than a nested mapping."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the result of `to_json`."""
        values = json.loads(text)
        values["pauses_after"] = tuple(values["pauses_after"])  # JSON has lists only.
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Fusing:
    """A decision whether the trials of a configuration are trained fused."""

    trials: tuple[str, ...]
    fused: bool
    gain: float
    """Measured speed of fused training relative to separate training."""
    channels_last: bool = True
    reason: str = ""
    """Why they cannot be fused; empty if they can."""

    @property
    def folder(self) -> str:
        """Name of the folder below ``checkpoints`` with the state of all trials."""
        return f"{BUNDLE_PREFIX}{self.trials[0]}"


BUNDLE_PREFIX = "bundle-"
