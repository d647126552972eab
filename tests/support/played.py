"""Makes runs whose trainings are played instead of trained; all else is real.

The sweep decides what is trained and stopped, and the program's own writers write the ledger, the
tables, the predictions and the provenance. Only the figures of each epoch are given.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_prep.reader import ImageDataset
from models.config import TrainConfig
from models.metrics import classification_metrics, confusion_matrix
from tune.execution.executor import EpochReport, SweepData
from tune.execution.in_process import InProcessExecutor
from tune.run.objective import Objective, sign
from tune.session.session import start
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.spec import parse_spec
from tune.sweep.sweep import Sweep

MEMORY = Path("/dev/shm")
"""Runs are made here, where flushing each event to disk takes no time."""


class Epoch(NamedTuple):
    """One epoch of a training."""

    probabilities: np.ndarray
    """(m, classes) of the validation pictures, in the order of their rows."""
    values: Mapping[str, float]
    """What does not follow from the probabilities: ``val_loss``, ``train_loss``, …"""


class Play(NamedTuple):
    """How the trainings of a run go."""

    epochs: Callable[[TrainConfig, np.ndarray], Iterator[Epoch]]
    """Yields the epochs of a configuration with a seed and a fold, given the labels of its
    validation pictures. An exception is a failure of the training."""
    parameters: Callable[[TrainConfig], int]
    """Returns the number of trainable parameters."""


def make_run(
    run: Path,
    spec: Mapping[str, Any],
    play: Play,
    *,
    on_step: Callable[[Sweep], None] = lambda _sweep: None,
) -> Path:
    """Run the sweep of a spec to its end, and move the run directory to ``run``.

    Args:
        run: Where the run directory will be.
        spec: The sweep spec, without a name.
        play: How the trainings go.
        on_step: Called before each epoch, and may ask the sweep to stop a trial.
    """
    folder = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as root, redirect_stderr(StringIO()):
        checked = parse_spec({"name": "played", **spec})
        made, sweep = start(checked, Path(root), executor=_Player(play=play, on_step=on_step))
        assert sweep.finished, sweep.stopping
        shutil.copytree(made, run)
    return run


@dataclass(frozen=True, kw_only=True)
class _Player:
    """An executor that plays trainings in this process."""

    play: Play
    on_step: Callable[[Sweep], None]

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """See `tune.execution.executor.Executor.execute`."""

        def step() -> None:
            self.on_step(sweep)
            on_step()

        trainings = _Trainings(
            play=self.play, run=run, dataset=data.dataset, objective=sweep.spec.objective
        )
        InProcessExecutor(make_training=trainings).execute(sweep, run, data, on_step=step)


@dataclass(frozen=True, kw_only=True)
class _Trainings:
    """Opens played trainings; replicates and folds of a configuration are fused."""

    play: Play
    run: Path
    dataset: ImageDataset
    objective: Objective

    def __call__(self, bundle: Bundle) -> "_Training":
        members = {
            trial_id: _Member(trial_id, TrainConfig.create(values), self)
            for trial_id, values in bundle.trials.items()
        }
        return _Training(members)

    def latency_ms(self, bundle: Bundle) -> float:
        raise NotImplementedError(bundle)  # Played sweeps have no networks to time.

    def probe(self, bundle: Bundle) -> Fusing:
        return Fusing(trials=tuple(bundle.trials), fused=True, gain=1.5)

    def memory_request(self, _bundle: Bundle) -> None:
        return None

    def peak_bytes(self) -> int:
        return 0


class _Training:
    device = "cpu"

    def __init__(self, members: dict[str, "_Member"]) -> None:
        self._members = members
        self.parameters = next(iter(members.values())).parameters

    def advance(self) -> list[EpochReport]:
        return [member.advance() for member in self._members.values()]

    def end(self, trial_id: str) -> None:
        self._members.pop(trial_id).write_best()

    def close(self) -> None:
        for member in self._members.values():
            member.write_best()


class _Member:
    """A trial in training, and the predictions of its epoch that counts."""

    def __init__(self, trial_id: str, config: TrainConfig, of: _Trainings) -> None:
        self._id, self._config, self._of = trial_id, config, of
        dataset = of.dataset
        self._labels = dataset.labels[dataset.rows("val", config.fold, config.folds)]
        self.parameters = of.play.parameters(config)
        self._epochs = enumerate(of.play.epochs(config, self._labels), start=1)
        self._best: tuple[int, float, np.ndarray] | None = None

    def advance(self) -> EpochReport:
        number, epoch = next(self._epochs)
        values = {**_metrics(self._labels, epoch.probabilities), **epoch.values}
        objective = self._of.objective
        score = sign(objective) * values[objective.metric]
        counts = self._best is None or objective.at == "last" or score > self._best[1]
        if np.isfinite(score) and counts:
            self._best = number, score, epoch.probabilities
        return EpochReport(self._id, number, values)

    def write_best(self) -> None:
        from tune.execution.predictions import write_predictions  # It imports torch.

        if self._best is None:
            return
        number, _, probabilities = self._best
        write_predictions(
            self._of.run,
            self._id,
            self._of.dataset,
            split="val",
            config=self._config,
            epoch=number,
            probabilities=probabilities,
        )


def _metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, probabilities.shape[1])
    return {f"val_{name}": value for name, value in classification_metrics(confusion).items()}
