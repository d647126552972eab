"""Picks a searcher and a scheduler for `searcher: auto`, by rules that the spec alone decides.

The pick is written into the spec, so a run keeps it when the rules change. Figures behind the
rules: `docs/benchmarks.md`, simulated searches.
"""

from dataclasses import dataclass
from itertools import islice

from fairsweep.errors import UserError
from tune.sweep.space import SearchSpace
from tune.sweep.spec_parts import SchedulerSpec, SearcherSpec, SpecError

AUTO = "auto"
_WHOLE_GRID = 100
"""Without a number of samples, a space of at most this many configurations is a grid."""
_UNTIL_THE_BUDGET = 1000
"""Configurations to try if only a budget limits them."""
_LEARNS_FROM = 20
"""With fewer trials, a model knows too little to be better than evenly spread points."""
_ROUNDS = 2
"""Trials per worker that a model needs, for the same reason."""
_RUNGS_FROM = 4
"""Epochs of a training from which stopping early saves time."""
_GRACE = 17
"""A trial is first compared after one of this many parts of its training: the third epoch of 52."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the rules look at."""

    space: SearchSpace
    searcher: SearcherSpec
    scheduler: SchedulerSpec | None
    """None if the spec leaves it open, too."""
    epochs: int
    """Epochs of the longest complete training."""
    objectives: int
    workers: int
    """Trials at the same time, as far as the spec says; at least 1."""
    ends: bool
    """Whether a budget ends the search."""
    warm_start: bool
    resumes: bool
    """Whether a training is sure to continue from its checkpoint."""


def is_open(space: SearchSpace, searcher: SearcherSpec) -> bool:
    """Return whether a new spec leaves the searcher to us: by name, or because no grid is meant."""
    if "name" in searcher.model_fields_set:
        return searcher.name == AUTO
    return searcher.samples is not None or _size(space, limit=0) is None


def pick(task: Task) -> tuple[SearcherSpec, SchedulerSpec]:
    """Return the searcher, with the reason, and the scheduler.

    Raises:
        SpecError: Neither a number of samples nor a budget ends the search.
    """
    samples = task.searcher.samples
    limit = _WHOLE_GRID if samples is None else samples
    size = None if task.warm_start else _size(task.space, limit=limit)
    if size is not None and size <= limit:
        return _picked(task, "grid", None, f"it can try all {size} configurations of the space")
    if samples is None and not task.ends:
        raise SpecError(
            f"searcher {AUTO!r} needs to know when the search ends; add samples: N to searcher, "
            "or hours: N to budget"
        )
    samples = samples or _UNTIL_THE_BUDGET
    return _picked(task, *_sampled(task, samples))


def _sampled(task: Task, samples: int) -> tuple[str, int, str]:
    """Return the name of a searcher that takes samples, their number and the reason."""
    if task.objectives > 1:
        return "tpe", samples, "there are several objectives"
    if samples < max(_LEARNS_FROM, _ROUNDS * task.workers) and not task.warm_start:
        name = "random" if task.space.conditional else "sobol"
        return name, samples, f"{samples} samples are too few to learn from"
    return "mobster", samples, "results of trials can guide the search"


def _picked(
    task: Task, name: str, samples: int | None, why: str
) -> tuple[SearcherSpec, SchedulerSpec]:
    scheduler = task.scheduler
    if scheduler is None:
        whole = name == "grid" or task.objectives > 1 or task.epochs < _RUNGS_FROM
        grace = grace_period(task.epochs)
        # A budget may end the search before paused trials are trained to the end.
        pauses = name == "mobster" and task.resumes and not task.ends
        stops = SchedulerSpec(name="promotion" if pauses else "asha", grace_period=grace)
        scheduler = SchedulerSpec() if whole else stops
    beside = "" if scheduler.name == "none" else f" with scheduler {scheduler.name}"
    searcher = SearcherSpec(
        name=name,
        samples=samples,
        population=task.searcher.population,
        reason=f"{AUTO} picked searcher {name}{beside}: {why}",
    )
    return searcher, scheduler


def grace_period(epochs: int) -> int:
    """Return the epochs after which trials of so many epochs are first compared."""
    return max(1, round(epochs / _GRACE))


def _size(space: SearchSpace, *, limit: int) -> int | None:
    """Return the number of configurations, or ``limit`` + 1 if there are more; None if infinite."""
    try:
        return sum(1 for _ in islice(space.grid(), limit + 1))
    except UserError:
        return None
