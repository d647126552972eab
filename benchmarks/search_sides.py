"""What a simulated search runs: our sweep, other tools behind the same methods, and the oracle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from benchmarks.search_curves import Task
from tune.execution.executor import EpochReport, Training
from tune.run.trial import MEASURED, TIMINGS
from tune.sweep.auto import grace_period
from tune.sweep.bundle import Bundle
from tune.sweep.clock import SimulatedClock
from tune.sweep.spec import parse_spec
from tune.sweep.sweep import Sweep


class Side(Protocol):
    """The methods of `Sweep` that the in-process executor calls."""

    def next_bundle(self, devices: int, /) -> Bundle | None:
        """Return the next trial to train, or None if there is none now."""
        ...

    def start(self, trial_id: str, devices: float, /) -> None:
        """Record that a worker starts the trial."""
        ...

    def report(
        self, trial_id: str, epoch: int, values: Mapping[str, float], worker: Mapping[str, Any], /
    ) -> bool:
        """Record an epoch; return whether the worker should stop."""
        ...


def ours(task: Task, *, seed: int, searcher: str, **scheduler: Any) -> Sweep:
    """Make a sweep of ours over a task's space.

    With `mobster`, trials are first compared after as many epochs as `auto` picks.
    """
    if searcher == "mobster":
        scheduler["grace_period"] = grace_period(task.epochs)
    space = {task.carriers[name]: _range(about) for name, about in task.space.items()}
    spec = parse_spec(
        {
            "name": "search",
            "data": "none",
            "objective": "val_accuracy",
            "fixed": {"family": "resnet", "epochs": task.epochs},
            "space": space,
            "searcher": {"name": searcher, "samples": task.samples},
            "seed": seed,
            **({"scheduler": scheduler} if scheduler else {}),
        }
    )
    return Sweep(spec, fingerprint=task.name)


def _range(about: Mapping[str, Any]) -> dict[str, Any]:
    whole = bool(about.get("integer"))
    low, high = ((int if whole else float)(about[end]) for end in ("low", "high"))
    return {"low": low, "high": high, **({"log": True} if about.get("log") else {})}


class OtherTool:
    """The base of other tools: one trial a bundle, and only the validation value is reported."""

    def __init__(self) -> None:
        self._trials = 0

    def suggest(self, trial_id: str) -> dict[str, Any] | tuple[str, dict[str, Any]]:
        """Return a new trial's hyperparameters, or a paused trial's id and hyperparameters."""
        raise NotImplementedError

    def goes_on(self, trial_id: str, epoch: int, value: float) -> bool:
        """Receive a validation value; return whether the trial continues."""
        raise NotImplementedError

    def next_bundle(self, _devices: int, /) -> Bundle:
        """See `Side`."""
        trial_id = str(self._trials)
        chosen = self.suggest(trial_id)
        if isinstance(chosen, tuple):
            trial_id, chosen = chosen
        else:
            self._trials += 1
        return Bundle(trials={trial_id: chosen}, folder=trial_id)

    def start(self, _trial_id: str, _devices: float, /) -> None:
        """See `Side`."""

    def report(
        self,
        trial_id: str,
        epoch: int,
        values: Mapping[str, float],
        _worker: Mapping[str, Any],
        /,
    ) -> bool:
        """See `Side`."""
        return not self.goes_on(trial_id, epoch, values["val_accuracy"])


class Oracle(OtherTool):
    """Random search that knows each curve after one epoch: a limit of early stopping.

    A trial continues only if it will beat the best value so far, and only up to its best epoch.
    """

    def __init__(self, task: Task, *, seed: int) -> None:
        super().__init__()
        self._task, self._rng = task, np.random.default_rng(seed)
        self._ends: dict[str, tuple[int, float]] = {}
        self._best = -np.inf

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Draw a random configuration."""
        config = self._task.random(self._rng)
        curve = self._task.curve(config).validation
        self._ends[trial_id] = int(curve.argmax()) + 1, float(curve.max())
        return config

    def goes_on(self, trial_id: str, epoch: int, value: float) -> bool:
        """Continue up to the best epoch of a curve that leads."""
        last, best = self._ends[trial_id]
        self._best = max(self._best, value)
        return epoch < last and best > self._best


@dataclass(kw_only=True, eq=False)
class Watched:
    """Passes everything on to a side, notes every epoch, and ends at the horizon."""

    side: Side
    clock: SimulatedClock
    horizon: float
    """Simulated seconds after which nothing is started."""
    epochs: list[tuple[float, float, float]] = field(default_factory=list)
    """Of each epoch the simulated second of its end, the validation value and the test value."""

    @property
    def over(self) -> bool:
        """Whether the horizon has passed."""
        return self.clock.seconds >= self.horizon

    def next_bundle(self, devices: int, /) -> Bundle | None:
        """See `Side`."""
        return None if self.over else self.side.next_bundle(devices)

    def start(self, trial_id: str, devices: float, /) -> None:
        """See `Side`."""
        self.side.start(trial_id, devices)

    def report(
        self, trial_id: str, epoch: int, values: Mapping[str, float], worker: Mapping[str, Any], /
    ) -> bool:
        """See `Side`."""
        self.epochs.append((self.clock.seconds, values["val_accuracy"], values["test"]))
        return self.side.report(trial_id, epoch, values, worker) or self.over


@dataclass(kw_only=True)
class Trainings:
    """Opens simulated trainings, which continue where they were stopped."""

    task: Task
    names: Mapping[str, str]
    """The task's hyperparameter → its name in the trials."""
    _trained: dict[str, Training] = field(default_factory=dict)

    def __call__(self, bundle: Bundle) -> Training:
        """See `MakeTraining`."""
        ((trial_id, config),) = bundle.trials.items()
        if trial_id not in self._trained:
            values = {name: config[ours] for name, ours in self.names.items()}
            self._trained[trial_id] = _Training(trial_id, _epochs(self.task, values, trial_id))
        return self._trained[trial_id]

    def latency_ms(self, bundle: Bundle) -> float:
        """Refuse: this benchmark times no networks."""
        raise NotImplementedError(bundle)

    def probe(self, bundle: Bundle) -> Any:
        """See `MakeTraining`."""
        raise NotImplementedError(bundle)

    def memory_request(self, _bundle: Bundle) -> None:
        """See `MakeTraining`."""

    def peak_bytes(self) -> int:
        """See `MakeTraining`."""
        return 0


@dataclass
class _Training:
    trial_id: str
    epochs: Iterator[EpochReport]
    parameters: int = 1
    device: str = "simulated"

    def advance(self) -> list[EpochReport]:
        return [next(self.epochs)]

    def end(self, trial_id: str) -> None: ...

    def close(self) -> None: ...


def _epochs(task: Task, config: Mapping[str, Any], trial_id: str) -> Iterator[EpochReport]:
    curve = task.curve(config)
    for epoch in range(1, task.epochs + 1):
        accuracy = float(curve.validation[epoch - 1])
        values = dict.fromkeys((*MEASURED, *TIMINGS), accuracy)
        values |= {"val_loss": 1 - accuracy, "seconds": float(curve.seconds[epoch - 1])}
        yield EpochReport(trial_id, epoch, values | {"test": float(curve.test[epoch - 1])})
