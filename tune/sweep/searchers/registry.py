"""The registry of searchers, and the features that each of them does not support.

To add one, write a function that makes it from a spec, and add a line to `SEARCHERS`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fairsweep.errors import UserError
from tune.run.tables import Sampling
from tune.sweep.searchers.searcher import Searcher
from tune.sweep.space import Choice, Range, SearchSpace
from tune.sweep.spec import SpecError, SweepSpec

Feature = Literal[
    "conditional space",
    "list of values",
    "continuous range",
    "several objectives",
    "early stopping",
    "warm start",
    "generations",
]
"""A feature of a spec that some searchers do not support."""


@dataclass(frozen=True, kw_only=True)
class SearcherKind:
    """An entry of the registry of searchers."""

    make: Callable[[SweepSpec], Searcher]
    """Makes the searcher; called for specs without any feature in ``refuses``."""
    words: str
    """Name of the searcher in a sentence."""
    sampling: Sampling
    """How it chooses configurations, which determines the tests of hyperparameters in tables."""
    refuses: Mapping[Feature, str] = field(default_factory=dict)
    """Unsupported feature → the reason."""


def make_searcher(spec: SweepSpec) -> Searcher:
    """Make the searcher that a spec names.

    Raises:
        SpecError: It is unknown, or does not support a feature of the spec.
    """
    name = spec.searcher.name
    if name not in SEARCHERS:
        raise SpecError(f"searcher must be one of {', '.join(SEARCHERS)}, but got {name!r}")
    for feature, where in _features(spec):
        if reason := SEARCHERS[name].refuses.get(feature):
            others = [other for other, kind in SEARCHERS.items() if feature not in kind.refuses]
            raise SpecError(
                f"searcher {name!r} cannot be used with {where}: {reason}; change that, or use one "
                f"of {', '.join(others)}; docs/sweeps.md has the table of all"
            )
    try:
        return SEARCHERS[name].make(spec)
    except UserError as error:
        raise SpecError(str(error)) from error


def _features(spec: SweepSpec) -> Iterator[tuple[Feature, str]]:
    """Yield the features of ``spec``, with their names in messages."""
    space = spec.search_space
    if space.conditional:
        yield "conditional space", "a space in which a choice opens hyperparameters of its own"
    for name, entry in _leaves(space):
        if isinstance(entry, Choice):
            yield "list of values", f"the list of values under space.{name}"
        elif entry.values is None:
            yield "continuous range", f"the continuous range under space.{name}"
    if len(spec.objectives) > 1:
        yield "several objectives", "several objectives"
    if spec.scheduler.name != "none":
        yield "early stopping", f"scheduler {spec.scheduler.name!r}"
    if spec.warm_start is not None:
        yield "warm start", "warm_start"
    if spec.searcher.population is not None:
        yield "generations", "population"


def _leaves(space: SearchSpace) -> Iterator[tuple[str, Choice | Range]]:
    for point in space.samples_of_each():
        yield from ((path, domain) for path, domain in space.domains(point).items())


def _samples(spec: SweepSpec) -> int:
    if spec.searcher.samples is None:
        raise UserError(
            f"searcher {spec.searcher.name!r} needs to know how many configurations to propose; "
            "add samples: N to searcher"
        )
    return spec.searcher.samples


# These functions import libraries when called, so that other commands start quickly.


def _grid(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.grid import GridSearcher

    if spec.searcher.samples is not None:
        raise UserError(
            f"searcher 'grid' proposes every configuration and takes no samples, but got samples: "
            f"{spec.searcher.samples}; leave samples out or use searcher random"
        )
    return GridSearcher(spec.search_space)


def _random(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.sampled import SampledSearcher

    return SampledSearcher(spec.search_space, samples=_samples(spec), seed=spec.seed)


def _sobol(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.sobol import SobolSearcher

    return SobolSearcher(spec.search_space, samples=_samples(spec), seed=spec.seed)


def _tpe(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.study import StudySearcher, tpe

    return StudySearcher(
        spec.search_space,
        tpe,
        samples=_samples(spec),
        seed=spec.seed,
        objectives=len(spec.objectives),
    )


def _bohb(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.bohb import BohbSearcher

    return BohbSearcher(spec.search_space, samples=_samples(spec), seed=spec.seed)


def _mobster(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.mobster import MobsterSearcher

    return MobsterSearcher(
        spec.search_space, samples=_samples(spec), seed=spec.seed, epochs=spec.most_epochs
    )


def _gp(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.study import StudySearcher, gp

    return StudySearcher(
        spec.search_space,
        gp,
        samples=_samples(spec),
        seed=spec.seed,
        objectives=len(spec.objectives),
        tries=2,  # More tries would find the same maximum, a second each.
    )


def _cmaes(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.cma import CmaEsSearcher

    return CmaEsSearcher(
        spec.search_space,
        samples=_samples(spec),
        seed=spec.seed,
        population=spec.searcher.population,
    )


def _nsga2(spec: SweepSpec) -> Searcher:
    from tune.sweep.searchers.study import StudySearcher, nsga2

    return StudySearcher(
        spec.search_space,
        nsga2(spec.searcher.population or NSGA2_POPULATION),
        samples=_samples(spec),
        seed=spec.seed,
        objectives=len(spec.objectives),
        generations=True,
    )


NSGA2_POPULATION = 20
"""With Optuna's default of 50, most sweeps would end within the first, random generation."""

_LEARNS_NOTHING = "it learns nothing from results"
_RANKS_BY_ONE = "it ranks trials by one number"
_NO_GENERATIONS = "it has no generations"
_DRAWS_AT_RANDOM = (
    "it models only hyperparameters that every configuration has, and would silently draw the "
    "others at random"
)
_WHOLE_ONLY = "it learns only from trials that were trained to the end"

SEARCHERS: dict[str, SearcherKind] = {
    "grid": SearcherKind(
        make=_grid,
        words="grid search",
        sampling="every",
        refuses={
            "continuous range": "a grid needs a list of values",
            "warm start": _LEARNS_NOTHING,
            "generations": _NO_GENERATIONS,
        },
    ),
    "random": SearcherKind(
        make=_random,
        words="random search",
        sampling="drawn",
        refuses={"warm start": _LEARNS_NOTHING, "generations": _NO_GENERATIONS},
    ),
    "sobol": SearcherKind(
        make=_sobol,
        words="Sobol search",
        sampling="drawn",
        refuses={
            "conditional space": "its sequence has a fixed number of dimensions",
            "warm start": _LEARNS_NOTHING,
            "generations": _NO_GENERATIONS,
        },
    ),
    "tpe": SearcherKind(
        make=_tpe,
        words="TPE (Bayesian) search",
        sampling="adaptive",
        refuses={"generations": _NO_GENERATIONS},
    ),
    "bohb": SearcherKind(
        make=_bohb,
        words="BOHB (Bayesian) search",
        sampling="adaptive",
        refuses={"several objectives": _RANKS_BY_ONE, "generations": _NO_GENERATIONS},
    ),
    "mobster": SearcherKind(
        make=_mobster,
        words="MOBSTER (Bayesian) search",
        sampling="adaptive",
        refuses={"several objectives": _RANKS_BY_ONE, "generations": _NO_GENERATIONS},
    ),
    "gp": SearcherKind(
        make=_gp,
        words="Gaussian process (Bayesian) search",
        sampling="adaptive",
        refuses={
            "conditional space": _DRAWS_AT_RANDOM,
            "early stopping": _WHOLE_ONLY,
            "generations": _NO_GENERATIONS,
        },
    ),
    "cmaes": SearcherKind(
        make=_cmaes,
        words="CMA-ES",
        sampling="adaptive",
        refuses={
            "conditional space": _DRAWS_AT_RANDOM,
            "list of values": "it moves through ranges of numbers, as in {low: 1, high: 8}",
            "several objectives": _RANKS_BY_ONE,
        },
    ),
    "nsga2": SearcherKind(
        make=_nsga2,
        words="NSGA-II",
        sampling="adaptive",
        refuses={"conditional space": _DRAWS_AT_RANDOM, "early stopping": _WHOLE_ONLY},
    ),
}
"""Name in the spec → searcher."""
