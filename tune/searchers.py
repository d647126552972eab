"""Searchers: which configuration comes next. Two methods each: one hears results, one proposes.

A searcher's whole knowledge is what it heard, and each proposal is seeded from the sweep's seed
and the proposal's number, so hearing a ledger again rebuilds it to the last digit.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from tune.space import Choice, Domain, Point, Scalar, SearchSpace
from tune.spec import SearcherSpec

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Searcher(Protocol):
    """Proposes points of a search space."""

    size: int | None
    """Most points that it will propose, if that is known."""

    def propose(self, number: int) -> Point | None:
        """Return the point of proposal ``number`` (from 0), or None if the space is used up."""
        ...

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Take note that a point is being trained."""
        ...

    def hear_ended(self, trial_id: str, values: Sequence[float], completed: bool) -> None:
        """Take note of a trial's objective after each epoch, and whether it was trained whole."""
        ...


class GridSearcher:
    """Every point of the space once, in order."""

    def __init__(self, space: SearchSpace) -> None:
        self._left = {_key(point): point for point in space.grid()}
        self.size: int | None = len(self._left)

    def propose(self, number: int) -> Point | None:
        """Return the first point that was not proposed yet."""
        return next(iter(self._left.values()), None)

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Cross the point out."""
        self._left.pop(_key(point), None)

    def hear_ended(self, trial_id: str, values: Sequence[float], completed: bool) -> None:
        """Learn nothing: a grid does not depend on results."""


class OptunaSearcher:
    """An Optuna sampler behind our own ask and tell.

    Conditional hyperparameters are asked for as the walk through the space meets them; trials that
    were stopped early are told as pruned, with their values per epoch. No point is proposed twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: Callable[[int], BaseSampler],
        *,
        samples: int,
        seed: int,
    ) -> None:
        self._space = space
        self._sampler = sampler
        self.size: int | None = samples
        self._seed = seed
        self._study = optuna.create_study(direction="maximize", sampler=sampler(seed))
        self._asked: dict[str, optuna.Trial] = {}
        self._running: dict[str, optuna.Trial] = {}
        self._seen: set[str] = set()

    def propose(self, number: int) -> Point | None:
        """Ask the sampler; after twenty points that were there before, draw at random."""
        if self.size is not None and number >= self.size:
            return None
        for attempt in range(_ATTEMPTS):
            make = self._sampler if attempt < _ATTEMPTS // 5 else _random
            self._study.sampler = make(_seed(self._seed, number, attempt))
            point, trial = self._ask()
            if _key(point) not in self._seen:
                self._asked[_key(point)] = trial
                return point
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    def _ask(self) -> tuple[Point, optuna.Trial]:
        trial = self._study.ask()
        point: Point = {}

        def suggest(path: str, domain: Domain) -> Scalar:
            point[path] = _suggest(trial, path, domain)
            return point[path]

        self._space.choose(suggest)
        return point, trial

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Enter the trial into the study as running, unless this process asked for it itself."""
        key = _key(point)
        self._seen.add(key)
        trial = self._asked.pop(key, None)
        self._running[trial_id] = trial or self._enter(point)

    def _enter(self, point: Point) -> optuna.Trial:
        domains = self._space.domains(point)
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=dict(point),
                distributions={path: _distribution(domains[path]) for path in point},
            )
        )
        # In a storage in memory that holds one study, a trial's id is its number.
        return optuna.Trial(self._study, len(self._study.get_trials(deepcopy=False)) - 1)

    def hear_ended(self, trial_id: str, values: Sequence[float], completed: bool) -> None:
        """Tell the study the trial's curve, as complete or as pruned."""
        trial = self._running.pop(trial_id)
        for epoch, value in enumerate(values, start=1):
            trial.report(value, epoch)
        if completed:
            self._study.tell(trial, values[-1])
        else:
            self._study.tell(trial, state=TrialState.PRUNED if values else TrialState.FAIL)


_ATTEMPTS = 100


def _seed(*parts: int) -> int:
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def _key(point: Mapping[str, object]) -> str:
    return repr(sorted(point.items()))


def _suggest(trial: optuna.Trial, path: str, domain: Domain) -> Scalar:
    match _distribution(domain):
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(path, choices)  # type: ignore[return-value]
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(path, low, high, log=log, step=step)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(path, low, high, log=log, step=step)


def _distribution(
    domain: Domain,
) -> CategoricalDistribution | IntDistribution | FloatDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if domain.whole:
        return IntDistribution(
            int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
        )
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _random(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator; see Watanabe 2023, arXiv:2304.11127.

    Multivariate and grouped, so that conditional spaces are modelled branch by branch; the
    constant liar keeps trials that run at once apart.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _optuna(sampler: Callable[[int], BaseSampler]) -> "Factory":
    def make(spec: SearcherSpec, space: SearchSpace, seed: int) -> Searcher:
        if spec.samples is None:
            raise ValueError(
                f"searcher {spec.name!r} needs to know how many configurations to propose; "
                "add samples: N to searcher"
            )
        return OptunaSearcher(space, sampler, samples=spec.samples, seed=seed)

    return make


def _grid(spec: SearcherSpec, space: SearchSpace, _seed: int) -> Searcher:
    if spec.samples is not None:
        raise ValueError(
            f"searcher 'grid' proposes every configuration, so samples: {spec.samples} does not "
            "go with it; leave samples out or take searcher random"
        )
    return GridSearcher(space)


Factory = Callable[[SearcherSpec, SearchSpace, int], Searcher]

SEARCHERS: dict[str, Factory] = {
    "grid": _grid,
    "random": _optuna(_random),
    "tpe": _optuna(_tpe),
}
"""Name in the spec → function of its settings, the space and the sweep's seed."""
