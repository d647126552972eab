"""Optuna's samplers behind our own ask and tell: TPE, Gaussian process, NSGA-II."""

import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna.distributions import (
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
"""Function of a seed."""


class StudySearcher(SampledSearcher):
    """A study in memory that holds the trials as the sweep's events tell of them.

    Conditional hyperparameters are asked for as the walk through the space meets them; trials that
    were stopped early are told as pruned, with their values per epoch; those that run are known as
    running, which keeps proposals apart that are made side by side.
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
        """Begin a study.

        Args:
            space: The search space.
            sampler: Makes the sampler of each proposal.
            samples: Most points to propose.
            seed: The sweep's.
            objectives: How many values a trial has at its end.
            tries: Draws of a proposal before a point is taken at random.
            generations: True if the sampler must see each trial when it begins, to count it into
                a generation.
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
        """Ask the sampler, and leave no trace of it but a failed trial, which no sampler reads."""
        self._study.sampler = self._sampler(seed_of(self._seed, number, attempt))
        trial = self._study.ask()
        point = self._space.point(lambda path, domain: _suggest(trial, path, domain))
        self._study.tell(trial, state=TrialState.FAIL)
        return point

    def hear_known(self, trials: Sequence[KnownTrial]) -> None:
        """Enter each trial and its end."""
        for number, known in enumerate(trials):
            trial_id = f"known {number}"
            self._enter(trial_id, known.point)
            self.hear_ended(trial_id, known.curve, known.values)

    def hear_proposed(self, trial_id: str, point: Point) -> None:
        """Enter the trial as running."""
        super().hear_proposed(trial_id, point)
        self._enter(trial_id, point)

    def _enter(self, trial_id: str, point: Point) -> None:
        domains = self._space.domains(point)
        # In a storage in memory that holds one study, a trial's id is its number.
        number = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=dict(point),
                distributions={path: _distribution(domains[path]) for path in point},
            )
        )
        self._running[trial_id] = trial = optuna.Trial(self._study, number)
        if self._generations:
            # Asked of a trial that has its values already, it counts the trial and picks the
            # generation's parents: now, and so at the same event in every reading of a ledger.
            self._study.sampler = self._sampler(self._seed)
            trial.relative_params  # noqa: B018

    def hear_ended(
        self, trial_id: str, curve: Sequence[float], values: Sequence[float] | None
    ) -> None:
        """Tell the study the trial's curve, as complete or as pruned."""
        trial = self._running.pop(trial_id)
        has_curves = len(self._study.directions) == 1  # A study of several has no curves.
        for epoch, value in enumerate(curve if has_curves else (), start=1):
            trial.report(value, epoch)
        if values is not None:
            self._study.tell(trial, list(values))
        else:
            pruned = curve and has_curves
            self._study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)


def tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator; see Watanabe 2023, arXiv:2304.11127.

    Multivariate and grouped, so that conditional spaces are modelled branch by branch; the
    constant liar keeps trials that run at once apart.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def gp(seed: int) -> BaseSampler:
    """Gaussian process with log expected improvement; see Ament et al. 2023, arXiv:2310.20708.

    Where trials run at once, Optuna takes the improvement beyond what they may reach (q-batch).
    """
    return GPSampler(seed=seed)


def nsga2(population: int) -> MakeSampler:
    """NSGA-II with this many configurations in a generation; see Deb et al. 2002, IEEE TEC 6(2)."""
    return lambda seed: NSGAIISampler(population_size=population, seed=seed)


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
