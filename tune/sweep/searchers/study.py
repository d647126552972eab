"""Searchers that use Optuna's samplers: TPE, Gaussian process, NSGA-II."""

import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState

from tune.sweep.searchers.sampled import SampledSearcher, seed_of
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.space import Choice, Domain, Point, Scalar, SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)

MakeSampler = Callable[[int], BaseSampler]
"""Makes a sampler from a seed."""


class StudySearcher(SampledSearcher):
    """An in-memory Optuna study with the trials of the sweep.

    Hyperparameters are suggested in the order of `SearchSpace.choose`, which includes conditional
    ones. Trials that were stopped early are pruned trials of the study, with their values per
    epoch. Trials that are not finished are running ones, so that parallel proposals differ.
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: MakeSampler,
        *,
        samples: int,
        seed: int,
        objectives: int = 1,
        tries: int = 20,
        generations: bool = False,
    ) -> None:
        """Create the study.

        Args:
            space: The search space.
            sampler: Makes the sampler of each proposal.
            samples: Maximum number of points to propose.
            seed: Seed of the sweep.
            objectives: Number of values that a completed trial has.
            tries: Maximum number of draws for a proposal; then a random unused point is proposed.
            generations: Whether the sampler must see each trial when it begins, to assign it to a
                generation.
        """
        super().__init__(space, samples=samples, seed=seed)
        self.tries = tries
        self._sampler = sampler
        self._generations = generations
        self._study = optuna.create_study(
            directions=["maximize"] * objectives, sampler=sampler(seed)
        )
        self._running: dict[str, optuna.Trial] = {}

    def draw(self, number: int, attempt: int) -> Point:
        """Ask the sampler; the study keeps this as a failed trial, which samplers ignore."""
        self._study.sampler = self._sampler(seed_of(self._seed, number, attempt))
        trial = self._study.ask()
        point = self._space.point(lambda path, domain: suggest(trial, path, domain))
        self._study.tell(trial, state=TrialState.FAIL)
        return point

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Add each trial and its end to the study."""
        for number, known in enumerate(trials):
            trial_id = f"known {number}"
            self._enter(trial_id, known.point)
            self.hear_ended(trial_id, known.curve, known.values)

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Add the trial to the study as running."""
        super().hear_proposed(trial_id, point)
        self._enter(trial_id, point)

    def _enter(self, trial_id: str, point: Point) -> None:
        # In an in-memory storage with one study, a trial's id is its number.
        number = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=dict(point),
                distributions=distributions(self._space, point),
            )
        )
        self._running[trial_id] = trial = optuna.Trial(self._study, number)
        if self._generations:
            # For a trial with fixed values, this makes the sampler count the trial and select the
            # parents of its generation, at the same event in every replay of the ledger.
            self._study.sampler = self._sampler(self._seed)
            trial.relative_params  # noqa: B018

    def hear_over_limit(self, trial_id: str) -> None:
        """Add the trial to the study as one that breaks a constraint, which TPE learns from."""
        trial = self._running.pop(trial_id)
        trial.set_constraint("limits", 1.0)
        self._study.tell(trial, state=TrialState.PRUNED)

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], values: Sequence[float] | None
    ) -> None:
        """Add the trial's curve to the study, as complete or as pruned."""
        trial = self._running.pop(trial_id)
        has_curves = len(self._study.directions) == 1  # Not with several objectives.
        for epoch, value in enumerate(curve if has_curves else (), start=1):
            trial.report(value, epoch)
        if values is not None:
            self._study.tell(trial, list(values))
        else:
            pruned = curve and has_curves
            self._study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)


def tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator; see Watanabe 2023, arXiv:2304.11127.

    Multivariate and grouped, so that branches of conditional spaces are modelled separately. The
    constant liar makes parallel proposals differ.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def gp(seed: int) -> BaseSampler:
    """Gaussian process with log expected improvement; see Ament et al. 2023, arXiv:2310.20708.

    For parallel trials, Optuna uses the improvement over their possible results (q-batch).
    """
    return GPSampler(seed=seed)


def nsga2(population: int) -> MakeSampler:
    """NSGA-II with a ``population`` per generation; see Deb et al. 2002, IEEE TEC 6(2)."""
    return lambda seed: NSGAIISampler(population_size=population, seed=seed)


def suggest(trial: optuna.Trial, path: str, domain: Domain) -> Scalar:
    """Ask for a value of a free choice."""
    match _distribution(domain):
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(path, choices)  # type: ignore[return-value]
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(path, low, high, log=log, step=step)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(path, low, high, log=log, step=step)


def distributions(space: SearchSpace, point: Point) -> dict[str, BaseDistribution]:
    """Return the distribution of each free choice that led to a point."""
    domains = space.domains(point)
    return {path: _distribution(domains[path]) for path in point}


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
