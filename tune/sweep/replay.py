"""Applies events to the state of a sweep, both live and when a ledger is replayed."""

from collections.abc import Iterable
from functools import singledispatch

from fairsweep.yaml_text import load_yaml
from tune.run.directory import ENSEMBLE
from tune.run.events import (
    AttemptFailed,
    AttemptLost,
    Event,
    FailedRetried,
    FilesGivenUp,
    FilesLost,
    FilesMadeAgain,
    FinalistsChosen,
    FusingDecided,
    LatencyMeasured,
    MeasurementTaken,
    NodeJoined,
    NodeLost,
    OutOfMemory,
    ProposalSkipped,
    SpaceExhausted,
    SweepExtended,
    SweepFinished,
    SweepResumed,
    SweepStarted,
    SweepStopped,
    TestOpened,
    TrialEnded,
    TrialProposed,
    TrialStarted,
    TrialTakenUp,
    WarmStarted,
)
from tune.run.trial import Ending, Measurement, Status, Trial
from tune.sweep.bundle import Fusing
from tune.sweep.limits import network_key
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.spec import SweepSpec, parse_spec
from tune.sweep.state import SweepState


def replay(spec: SweepSpec, events: Iterable[Event]) -> SweepState:
    """Return the state of a sweep after ``events``.

    Args:
        spec: The sweep spec; specs in events replace it.
        events: The ledger so far.

    Raises:
        SpecError: Searcher or scheduler are unknown or do not fit the space.
    """
    state = SweepState(spec)
    for event in events:
        apply(state, event)
    return state


def apply(state: SweepState, event: Event) -> None:
    """Change ``state`` by one event of the ledger."""
    state.worked.hear(event)
    _change(event, state)


@singledispatch
def _change(event: Event, _state: SweepState) -> None:
    raise NotImplementedError(type(event).__name__)


# Driver sessions and the search.


@_change.register
def _sweep_started(event: SweepStarted, state: SweepState) -> None:
    state.spec = _read_spec(event)
    state.search.configure(state.spec)
    state.begun = True


@_change.register
def _sweep_resumed(_event: SweepResumed, state: SweepState) -> None:
    _interrupt(state, "its sweep was killed")
    state.failures.clear()
    state.queue.refill(state.trials)


@_change.register
def _sweep_stopped(event: SweepStopped, state: SweepState) -> None:
    _interrupt(state, event.reason)


@_change.register(NodeJoined)
@_change.register(SweepFinished)
def _nothing(_event: NodeJoined | SweepFinished, _state: SweepState) -> None:
    """Change nothing; these events do not affect the state."""


@_change.register
def _sweep_extended(event: SweepExtended, state: SweepState) -> None:
    state.spec = spec = _read_spec(event)
    state.finalists = None
    for trial in state.trials.values():
        _give_epochs(state, trial, spec.fixed.get("epochs", trial.epochs))
    state.search.restart(spec, (t for t in state.trials.values() if t.phase == "search"))
    state.count_trained_whole()
    state.queue.refill(state.trials)


@_change.register
def _warm_started(event: WarmStarted, state: SweepState) -> None:
    state.search.hear_known(tuple(KnownTrial(**trial) for trial in event.trials))


@_change.register
def _proposal_skipped(event: ProposalSkipped, state: SweepState) -> None:
    state.search.hear_skipped(event.proposal, dict(event.point))


@_change.register
def _space_exhausted(_event: SpaceExhausted, state: SweepState) -> None:
    state.search.exhausted = True


@_change.register
def _finalists_chosen(event: FinalistsChosen, state: SweepState) -> None:
    state.finalists = list(event.trials)


# One trial.


@_change.register
def _trial_proposed(event: TrialProposed, state: SweepState) -> None:
    trial = event.to_trial()
    state.trials[trial.id] = trial
    state.queue.join(trial.id)
    if state.spec.times_networks:
        key = network_key(trial.config)
        state.networks[key].append(trial)
        trial.latency_ms = state.latencies.get(key)
    if event.proposal is not None and event.point is not None:
        state.search.hear_proposed(trial, event.proposal, dict(event.point))


@_change.register
def _trial_started(event: TrialStarted, state: SweepState) -> None:
    trial = state.trials[event.trial]
    trial.devices = event.devices
    trial.has_worker, trial.interruption = True, None


@_change.register
def _latency_measured(event: LatencyMeasured, state: SweepState) -> None:
    key = network_key(state.trials[event.trial].config)
    state.latencies[key] = event.latency_ms
    for trial in state.networks[key]:
        trial.latency_ms = event.latency_ms


@_change.register
def _measurement_taken(event: MeasurementTaken, state: SweepState) -> None:
    trial = state.trials[event.trial]
    measurement = Measurement(epoch=event.epoch, values=event.values, time=event.time)
    trial.measurements.append(measurement)
    trial.seconds += event.values["seconds"]
    for name in ("host", "device", "parameters", "devices"):
        if (value := getattr(event, name)) is not None:
            setattr(trial, name, value)
    if trial.phase == "search" and state.search.hear_measurement(trial, measurement):
        trial.paused, trial.has_worker, trial.interruption = True, False, None
        state.queue.pause(trial.id)


@_change.register
def _trial_taken_up(event: TrialTakenUp, state: SweepState) -> None:
    trial = state.trials[event.trial]
    trial.paused = False
    state.queue.take_up(trial.id)
    state.search.hear_reopened(trial)


@_change.register
def _trial_ended(event: TrialEnded, state: SweepState) -> None:
    trial = state.trials[event.trial]
    trial.ending = Ending(status=event.status, reason=event.reason)
    was_paused, trial.paused = trial.paused, False
    state.queue.end(trial.id)
    if trial.status is Status.COMPLETED:
        state.seconds_of.setdefault(trial.configuration_id, trial.seconds)
        state.trained_whole += trial.phase == "search"
    if trial.phase == "search" and not was_paused:
        state.search.hear_ended(trial)


@_change.register
def _test_opened(event: TestOpened, state: SweepState) -> None:
    state.openings.append(ENSEMBLE if event.ensemble else event.trial)


# Failed attempts.


@_change.register
def _attempt_failed(event: AttemptFailed, state: SweepState) -> None:
    state.failures[event.trial] += 1
    _lose_worker(state, event.trial)


@_change.register
def _failed_retried(event: FailedRetried, state: SweepState) -> None:
    for trial in (state.trials[trial_id] for trial_id in event.trials):
        _reopen(state, trial)
        state.queue.join(trial.id)
        state.failures.pop(trial.id, None)
        if trial.phase == "search":
            state.search.hear_reopened(trial)


@_change.register
def _attempt_lost(event: AttemptLost, state: SweepState) -> None:
    """Requeue the trial; the death of its node does not count as a failure."""
    state.trials[event.trial].nodes_lost += 1
    _lose_worker(state, event.trial)


@_change.register
def _node_lost(event: NodeLost, state: SweepState) -> None:
    state.lost_nodes.append(event.node)


@_change.register
def _out_of_memory(event: OutOfMemory, state: SweepState) -> None:
    state.exclusive.add(event.trial)
    _lose_worker(state, event.trial)


@_change.register
def _fusing_decided(event: FusingDecided, state: SweepState) -> None:
    """Fuse the trials, or return each of them to the queue."""
    fusing = Fusing(
        trials=event.trials,
        fused=event.fused,
        gain=event.gain,
        channels_last=event.channels_last,
        reason=event.reason,
    )
    state.fusings.append(fusing)
    for trial_id in reversed(fusing.trials):
        if fusing.fused:
            state.bundles[trial_id] = fusing
        else:
            state.bundles.pop(trial_id, None)
            _lose_worker(state, trial_id)


@_change.register
def _files_lost(event: FilesLost, state: SweepState) -> None:
    state.queue.lose_files(event.trial)


@_change.register(FilesGivenUp)
@_change.register(FilesMadeAgain)
def _no_more_for_files(event: FilesMadeAgain | FilesGivenUp, state: SweepState) -> None:
    state.queue.lost.discard(event.trial)


def _lose_worker(state: SweepState, trial_id: str) -> None:
    trial = state.trials[trial_id]
    trial.has_worker, trial.interruption = False, None
    state.queue.return_to_front(trial_id)


def _reopen(state: SweepState, trial: Trial) -> None:
    """Reopen a trial that has ended, so that it is trained further."""
    trial.ending, trial.has_worker, trial.interruption = None, False, None
    state.queue.reopen(trial.id)


def _give_epochs(state: SweepState, trial: Trial, epochs: int) -> None:
    """Raise the epochs of a trial that completed or has not ended."""
    if trial.epochs < epochs and (trial.status is Status.COMPLETED or not trial.ended):
        used_up = len(trial.measurements) >= trial.epochs
        trial.epochs, trial.config = epochs, {**trial.config, "epochs": epochs}
        if trial.ended and used_up:  # Else its patience has ended it, as it would again.
            _reopen(state, trial)


def _interrupt(state: SweepState, reason: str) -> None:
    for trial_id in state.queue.unfinished:
        trial = state.trials[trial_id]
        if trial.status is Status.RUNNING:
            trial.interruption = reason


def _read_spec(event: SweepStarted | SweepExtended) -> SweepSpec:
    return parse_spec(load_yaml(event.spec, "the ledger"), "the ledger", recorded=True)
