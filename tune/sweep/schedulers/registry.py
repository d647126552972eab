"""The registry of schedulers, which stop trials early; they compare trials at equal epochs only.

To add one, write a function that makes it from its settings, and add a line to `SCHEDULERS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fairsweep.errors import UserError
from tune.sweep.schedulers.asha import Asha
from tune.sweep.schedulers.hyperband import Hyperband
from tune.sweep.schedulers.median import MedianStopping
from tune.sweep.schedulers.promotion import Promotion
from tune.sweep.schedulers.rungs import RungScheduler
from tune.sweep.schedulers.scheduler import NoScheduler, Scheduler
from tune.sweep.spec import SchedulerSpec, SpecError, SweepSpec


def make_scheduler(spec: SweepSpec) -> Scheduler:
    """Make the scheduler that a spec names.

    Raises:
        SpecError: It is unknown, or does not fit another part of the spec.
    """
    name = spec.scheduler.name
    if name not in SCHEDULERS:
        raise SpecError(f"scheduler must be one of {', '.join(SCHEDULERS)}, but got {name!r}")
    if name != "none" and len(spec.objectives) > 1:
        raise SpecError(
            f"scheduler {name!r} cannot be used with several objectives, because a trial that is "
            "worse in one may be better in another; use scheduler none"
        )
    try:
        return SCHEDULERS[name].make(spec.scheduler, spec.most_epochs)
    except UserError as error:
        raise SpecError(f"scheduler {name!r}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class SchedulerKind:
    """An entry of the registry of schedulers."""

    make: Callable[[SchedulerSpec, int], Scheduler]
    """Makes the scheduler from its settings and the epochs of a complete training."""
    words: str
    """Description that follows "with" in a sentence."""


def _with_rungs(kind: type[RungScheduler]) -> Callable[[SchedulerSpec, int], Scheduler]:
    return lambda spec, epochs: kind(
        grace_period=spec.grace_period, reduction_factor=spec.reduction_factor, epochs=epochs
    )


SCHEDULERS: dict[str, SchedulerKind] = {
    "none": SchedulerKind(make=lambda _spec, _epochs: NoScheduler(), words="no early stopping"),
    "asha": SchedulerKind(
        make=_with_rungs(Asha),
        words="early stopping by ASHA",
    ),
    "hyperband": SchedulerKind(
        make=lambda spec, epochs: Hyperband(
            grace_period=spec.grace_period,
            reduction_factor=spec.reduction_factor,
            brackets=spec.brackets,
            epochs=epochs,
        ),
        words="early stopping by HyperBand",
    ),
    "promotion": SchedulerKind(
        make=_with_rungs(Promotion),
        words="pauses and promotions by ASHA",
    ),
    "median": SchedulerKind(
        make=lambda spec, epochs: MedianStopping(
            grace_period=spec.grace_period, min_trials=spec.min_trials, epochs=epochs
        ),
        words="early stopping by the median rule",
    ),
}
"""Name in the spec → scheduler."""
