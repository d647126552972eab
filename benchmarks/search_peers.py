"""Ray Tune's, Optuna's and Syne Tune's own searchers and schedulers, driven by the simulation.

Each has the settings of its documentation's first example; where that leaves one open, its default.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import optuna

from benchmarks.search_curves import Task
from benchmarks.search_sides import OtherTool

optuna.logging.set_verbosity(optuna.logging.ERROR)
METRIC = "accuracy"


class RayTune(OtherTool):
    """Ray Tune's ASHA with its OptunaSearch, called in the order of Ray's `TuneController`."""

    def __init__(self, task: Task, *, seed: int) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        super().__init__()
        self._scheduler = ASHAScheduler(metric=METRIC, mode="max", max_t=task.epochs)
        space = {name: _distribution(about) for name, about in task.space.items()}
        self._searcher = OptunaSearch(space=space, metric=METRIC, mode="max", seed=seed)

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Ask the searcher."""
        self._scheduler.on_trial_add(None, SimpleNamespace(trial_id=trial_id))
        return dict(self._searcher.suggest(trial_id))

    def goes_on(self, trial_id: str, epoch: int, value: float) -> bool:
        """Ask the scheduler; the searcher takes a stopped trial as a complete one."""
        trial, result = SimpleNamespace(trial_id=trial_id), {METRIC: value}
        result["training_iteration"] = epoch
        if self._scheduler.on_trial_result(None, trial, result) != "STOP":
            self._searcher.on_trial_result(trial_id, result)
            return True
        self._scheduler.on_trial_complete(None, trial, result)
        self._searcher.on_trial_complete(trial_id, result)
        return False


class Optuna(OtherTool):
    """Optuna's TPE with its Hyperband pruner."""

    def __init__(self, task: Task, *, seed: int) -> None:
        super().__init__()
        self._epochs = task.epochs
        self._space = {name: _distribution(about) for name, about in task.space.items()}
        self._study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            # Its random bracket depends on the study's name.
            study_name=f"{task.name} {seed}",
            pruner=optuna.pruners.HyperbandPruner(
                min_resource=1, max_resource=task.epochs, reduction_factor=3
            ),
        )
        self._asked: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Ask the study."""
        self._asked[trial_id] = trial = self._study.ask(self._space)
        return trial.params

    def goes_on(self, trial_id: str, epoch: int, value: float) -> bool:
        """Report to the pruner."""
        trial = self._asked[trial_id]
        trial.report(value, epoch)
        if epoch == self._epochs:
            self._study.tell(trial, value)
            return False
        if trial.should_prune():
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return False
        return True


class SyneTune(OtherTool):
    """A scheduler of Syne Tune, called in the order of its `Tuner`."""

    def __init__(self, task: Task, *, seed: int, name: str) -> None:
        from syne_tune.optimizer import baselines

        super().__init__()
        space = {name: _syne_domain(about) for name, about in task.space.items()}
        kind: Callable[..., Any] = getattr(baselines, name)
        self._scheduler = kind(
            {**space, "epochs": task.epochs},
            metric=METRIC,
            mode="max",
            resource_attr="epoch",
            max_resource_attr="epochs",
            random_seed=seed,
            search_options={"debug_log": False},
        )
        self._epochs = task.epochs
        self._added: dict[str, Any] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | tuple[str, dict[str, Any]]:
        """Ask the scheduler, which may resume a paused trial."""
        from syne_tune.backend.trial_status import Trial

        suggestion = self._scheduler.suggest(int(trial_id))
        if not suggestion.spawn_new_trial_id:
            known = str(suggestion.checkpoint_trial_id)
            return known, self._added[known].config
        trial = Trial(int(trial_id), suggestion.config, datetime.fromtimestamp(0))
        self._added[trial_id] = trial
        self._scheduler.on_trial_add(trial)
        return dict(suggestion.config)

    def goes_on(self, trial_id: str, epoch: int, value: float) -> bool:
        """Ask the scheduler."""
        trial, result = self._added[trial_id], {METRIC: value, "epoch": epoch}
        decision = self._scheduler.on_trial_result(trial, result)
        if epoch == self._epochs:
            self._scheduler.on_trial_complete(trial, result)
            return False
        if decision == "STOP":
            self._scheduler.on_trial_remove(trial)
        return bool(decision == "CONTINUE")


def _distribution(about: Mapping[str, Any]) -> optuna.distributions.BaseDistribution:
    kind: type[Any] = (
        optuna.distributions.IntDistribution
        if about.get("integer")
        else optuna.distributions.FloatDistribution
    )
    made: optuna.distributions.BaseDistribution = kind(
        about["low"], about["high"], log=bool(about.get("log"))
    )
    return made


def _syne_domain(about: Mapping[str, Any]) -> Any:
    from syne_tune.config_space import lograndint, loguniform, randint, uniform

    if about.get("integer"):
        return (lograndint if about.get("log") else randint)(about["low"], about["high"])
    return (loguniform if about.get("log") else uniform)(about["low"], about["high"])
