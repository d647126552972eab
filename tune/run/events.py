"""The kinds of event in a run's ledger: what each means, who writes it, and its fields.

`Sweep` writes events, `tune.run.event_lines` converts them to lines and back and checks every line
against these classes, and `tune.sweep.replay` applies them. The first line has the key ``ledger``
with `LEDGER_VERSION`; a ledger without it has version 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune.run.trial import Figures, Phase, Status, Trial

LEDGER_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Event:
    time: float
    """When the event was written, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepStarted(_Event):
    """The first driver session of a sweep begins. Written by `Sweep.begin`."""

    spec: str
    """The sweep spec as YAML."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepResumed(_Event):
    """A further driver session begins; trials that ran in the previous one are interrupted."""

    spec: str
    """The sweep spec as YAML."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepExtended(_Event):
    """`tune extend` gave the sweep a larger spec, before its driver session begins."""

    spec: str
    """The larger spec as YAML."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepStopped(_Event):
    """A driver session ends although trials are left to train. Written by `Sweep.close`."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepFinished(_Event):
    """A driver session ends and nothing is left to train. Written by `Sweep.close`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmStarted(_Event):
    """The searcher received another run's trials, before its first proposal."""

    run: str
    """The other run's directory."""
    trials: tuple[Mapping[str, Any], ...]
    """Its trials that are points of this sweep's space."""
    unfit: int
    """Number of its other trials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialProposed(_Event):
    """A trial joins the sweep, by the searcher or as a further replicate of a finalist."""

    trial: str
    configuration_id: str
    number: int
    """Order of proposal, from 0."""
    name: str
    phase: Phase
    replicate: int
    config: Mapping[str, Any]
    """All hyperparameters, including seed and fold."""
    epochs: int
    proposal: int | None = None
    """Number of the searcher's proposal, from 0, or -1 for one of the spec's ``first``; None for a
    finalist's replicate."""
    point: Mapping[str, Any] | None = None
    """Point of the search space; None for a finalist's replicate."""

    def to_trial(self) -> Trial:
        """Return the trial as it joins the sweep."""
        return Trial(
            id=self.trial,
            configuration_id=self.configuration_id,
            number=self.number,
            name=self.name,
            phase=self.phase,
            replicate=self.replicate,
            config=self.config,
            epochs=self.epochs,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalSkipped(_Event):
    """The searcher proposed a configuration that the sweep already has."""

    proposal: int
    trial: str
    """The trial that has this configuration."""
    point: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceExhausted(_Event):
    """The searcher has no further points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalistsChosen(_Event):
    """These trials, best first, get further replicates. A later choice replaces this one."""

    trials: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted(_Event):
    """A worker trains a trial from its start or from its checkpoint. Written by the executor."""

    trial: str
    devices: float
    """Share of a GPU, or CPU cores, that the worker holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyMeasured(_Event):
    """A worker timed the untrained network of a trial before the first epoch.

    It counts for all trials of the sweep with this network, which is not measured again.
    """

    trial: str
    latency_ms: float
    """Median of the milliseconds in which the network predicts one picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurementTaken(_Event):
    """A trial was trained for one more epoch. Written when its worker reports.

    The last four fields are written only if they changed since the trial's last measurement.
    """

    trial: str
    epoch: int
    """Epochs trained so far, from 1."""
    values: Figures
    """The measured values; numbers that are not finite are null in the file and NaN here."""
    host: str | None = None
    device: str | None = None
    parameters: int | None = None
    devices: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTakenUp(_Event):
    """A trial that its scheduler has paused is to be trained further, from its checkpoint."""

    trial: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnded(_Event):
    """A trial ends for good, unless the sweep is extended to more epochs."""

    trial: str
    status: Status
    """One of ``FINISHED``."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptFailed(_Event):
    """A worker failed; its trial is tried again from its checkpoint."""

    trial: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedRetried(_Event):
    """Failed trials are trained again.

    Written by `tune resume --retry-failed` before its session begins, and during a session if the
    user asks for it on the page of `tune serve`.
    """

    trials: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptLost(_Event):
    """The node under a worker died; its trial continues elsewhere from its checkpoint."""

    trial: str
    node: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeLost(_Event):
    """A node died while it was part of the sweep."""

    node: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeJoined(_Event):
    """A node joined the sweep while it ran."""

    node: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfMemory(_Event):
    """A trial did not fit into memory next to others, and is retried on a whole GPU."""

    trial: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FusingDecided(_Event):
    """A decision whether these trials are trained fused; see `tune.sweep.bundle.Fusing`."""

    trials: tuple[str, ...]
    fused: bool
    gain: float
    """Measured speed of fused training relative to separate training."""
    channels_last: bool
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesLost(_Event):
    """A trial that was stopped early has no files, and is trained again to write them."""

    trial: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesMadeAgain(_Event):
    """A trial that was trained again has written its files."""

    trial: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesGivenUp(_Event):
    """A trial could not be trained again, and stays without files."""

    trial: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TestOpened(_Event):
    """The test split is opened for a trial or an ensemble. `tune test` writes this before."""

    __test__ = False  # Otherwise pytest would collect it, because of its name.

    trial: str
    """The trial; of an ensemble, the first member."""
    ensemble: tuple[str, ...] | None = None
    """The members of an ensemble, as often as each counts; None for a single trial."""


Event = (
    SweepStarted
    | SweepResumed
    | SweepExtended
    | SweepStopped
    | SweepFinished
    | WarmStarted
    | TrialProposed
    | ProposalSkipped
    | SpaceExhausted
    | FinalistsChosen
    | TrialStarted
    | LatencyMeasured
    | MeasurementTaken
    | TrialTakenUp
    | TrialEnded
    | AttemptFailed
    | FailedRetried
    | AttemptLost
    | NodeLost
    | NodeJoined
    | OutOfMemory
    | FusingDecided
    | FilesLost
    | FilesMadeAgain
    | FilesGivenUp
    | TestOpened
)
