"""Checks which parts of a spec change when a sweep is extended."""

from collections.abc import Iterable

from tune.run.directory import RunError
from tune.sweep.configuration import Configuration
from tune.sweep.spec import SweepSpec, override_spec

_MAY_CHANGE = (
    "space",
    "repeats",
    "replicates",
    "finalists",
    "retries",
    "resources",
    "budget",
    "fuse",
    "keep",
    "loggers",
)


def extended_spec(spec: SweepSpec, *, samples: int, overrides: Iterable[str]) -> SweepSpec:
    """Return ``spec`` with ``samples`` more samples and the overrides applied.

    Raises:
        RunError: An override changes a part that must stay the same.
        SpecError: The new spec breaks a rule.
    """
    larger = override_spec(spec, overrides)
    if samples:
        if larger.searcher.samples is None:
            raise RunError(
                f"searcher {spec.searcher.name!r} takes no samples; add values to the space, as in "
                "--set 'space.kernel_size=[3, 5, 7]'"
            )
        total = larger.searcher.samples + samples
        larger = override_spec(larger, [f"searcher.samples={total}"])
    _check_growth(spec, larger)
    return larger


def _check_growth(old: SweepSpec, new: SweepSpec) -> None:
    allowed = {*_MAY_CHANGE, "fixed", "searcher"}
    before, after = old.model_dump(), new.model_dump()
    for key in before | after:
        if key not in allowed and before.get(key) != after.get(key):
            raise RunError(f"{key} of a sweep cannot change; start a new sweep")
    _check_samples(old, new)
    _check_epochs(old, new)


def _check_samples(old: SweepSpec, new: SweepSpec) -> None:
    if new.searcher.name != old.searcher.name:
        raise RunError("the searcher cannot change; start a new sweep with warm_start instead")
    if (new.searcher.samples or 0) < (old.searcher.samples or 0):
        raise RunError(
            f"samples can only grow, but {new.searcher.samples} is less than {old.searcher.samples}"
        )


def _check_epochs(old: SweepSpec, new: SweepSpec) -> None:
    changed = {
        name for name in {*old.fixed, *new.fixed} if old.fixed.get(name) != new.fixed.get(name)
    }
    if changed - {"epochs"}:
        raise RunError(
            f"fixed.{min(changed - {'epochs'})} is the same for all trials of a sweep and cannot "
            "change; start a new sweep"
        )
    if not changed:
        return
    config = _first_config(new)
    if new.train is not None and config.schedule_needs_epochs:
        raise RunError(
            f"epochs cannot grow, because {new.train} gets their number and may depend on it; "
            "start a new sweep"
        )
    if config.schedule_needs_epochs or "lr_schedule" in new.search_space.names():
        raise RunError(
            "epochs can grow only where lr_schedule is 'constant' for all trials, because other "
            "schedules depend on the number of epochs; start a new sweep"
        )
    if config.epochs < _first_config(old).epochs:
        raise RunError("epochs can only grow; epochs that are trained cannot be undone")


def _first_config(spec: SweepSpec) -> Configuration:
    space = spec.search_space
    return spec.config(space.at(next(space.samples_of_each())), seed=spec.seed)
