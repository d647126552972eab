"""Selects the trials of a bundle: one trial, or replicates and folds of one configuration."""

from collections.abc import Sequence

from tune.run.trial import Trial
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.state import SweepState


def mates(state: SweepState, first: Trial, devices: int) -> list[str]:
    """Return the waiting trials that may be fused with ``first``, up to one device's share.

    Args:
        state: The sweep.
        first: The first trial of the bundle.
        devices: Number of cores or GPUs; the remaining trials are spread evenly over them.
    """
    last = last_fusing(state, first)
    if not _may_be_fused(state, first) or (last is not None and not last.fused):
        return []
    share = -(-len(state.queue.unfinished) // devices)
    waiting = (state.trials[trial_id] for trial_id in state.queue.waiting)
    alike = [
        trial.id
        for trial in waiting
        if trial.configuration_id == first.configuration_id and _may_be_fused(state, trial)
    ]
    return alike[: share - 1]


def last_fusing(state: SweepState, trial: Trial) -> Fusing | None:
    """Return the last decision for the configuration of ``trial``, if there was one."""
    of_configuration = (
        fusing
        for fusing in reversed(state.fusings)
        if state.trials[fusing.trials[0]].configuration_id == trial.configuration_id
    )
    return next(of_configuration, None)


def take(
    state: SweepState, trial_ids: Sequence[str], bound: Fusing | None = None, *, probe: bool = False
) -> Bundle:
    """Remove trials from the queue and return them as a bundle.

    Args:
        state: The sweep.
        trial_ids: The trials.
        bound: The decision to fuse them, if there was one.
        probe: As `Bundle.probe`.
    """
    for trial_id in trial_ids:
        state.queue.take(trial_id)
    return Bundle(
        trials={trial_id: state.trials[trial_id].config for trial_id in trial_ids},
        folder=trial_ids[0] if bound is None else bound.folder,
        exclusive=trial_ids[0] in state.exclusive,
        channels_last=_is_channels_last(state, trial_ids[0])
        if bound is None
        else bound.channels_last,
        probe=probe,
        pauses_after=_pauses_after(state, state.trials[trial_ids[0]]),
        times_network=state.needs_latency(state.trials[trial_ids[0]]),
    )


def _pauses_after(state: SweepState, trial: Trial) -> tuple[int, ...]:
    pauses = state.scheduler.pauses and trial.phase == "search"
    return state.scheduler.rungs if pauses else ()


def _is_channels_last(state: SweepState, trial_id: str) -> bool:
    network = state.spec.networks.get(state.trials[trial_id].config.get("family", ""))
    return network is None or network.channels_last


def _may_be_fused(state: SweepState, trial: Trial) -> bool:
    fresh = not trial.measurements and trial.id not in state.bundles.keys() | state.exclusive
    whole = trial.phase == "finalist" or state.spec.scheduler.name == "none"
    # A fused network is made of layers that are known to treat each member by itself.
    ours = trial.config.get("family") not in state.spec.networks and state.spec.train is None
    return fresh and whole and ours and state.spec.fuse != "never"
