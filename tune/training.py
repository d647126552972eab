"""One trial's training inside a run directory: goes on from its checkpoint, leaves its files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.build import count_parameters
from models.checkpoint import CheckpointError, load, save
from models.classifier import classifier_state
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import EpochResult, fit
from tune.carried import read_initial
from tune.memory import OutOfMemoryError
from tune.predictions import write_predictions
from tune.schema import CHECKPOINTS_DIR, STOP_FILE
from tune.spec import Objective

CHECKPOINT_SHARE = 0.05
"""Most that checkpoints may take of the time between two of them."""
_DISK_BYTES_PER_SECOND = 200e6
"""What a disk is trusted to write before the first checkpoint was timed."""
_STATE_BYTES = 16
"""Bytes of a checkpoint per parameter: weights, Adam's two moments, the best weights."""


@dataclass(kw_only=True)
class _Best:
    """The best epoch so far; weights and probabilities until they are on disk."""

    epoch: int
    value: float
    weights: Mapping[str, torch.Tensor] | None = None
    probabilities: npt.NDArray[np.float32] | None = None


class TrialTraining:
    """Trains one trial epoch by epoch; every file that it leaves is whole or not there."""

    def __init__(
        self,
        *,
        run: Path,
        trial_id: str,
        config: TrainConfig,
        objective: Objective,
        data: DeviceDataset,
    ) -> None:
        self._run = run
        self._id = trial_id
        self._config = config
        self._objective = objective
        self._data = data
        self._folder = run / CHECKPOINTS_DIR / trial_id
        self._best: _Best | None = None
        self._result: EpochResult | None = None
        self._restored: tuple[int, Mapping[str, float]] | None = None
        self._saved_epoch = 0
        self._saved_at = time.monotonic()
        self.parameters = count_parameters(
            config, classes=data.classes, image_shape=data.image_shape
        )
        self.device = torch.cuda.get_device_name() if data.device.type == "cuda" else "cpu"
        self._save_seconds = _STATE_BYTES * self.parameters / _DISK_BYTES_PER_SECOND
        state = self._restore()
        initial = None if state is not None else read_initial(run, config)
        self._epochs = fit(config, data, state=state, initial=initial)

    def advance(self) -> tuple[int, Mapping[str, float]]:
        """Train one epoch, keep the best so far, and write a checkpoint when it is due.

        After a restart the checkpoint's own epoch is told once more, for its process may have died
        before the ledger had it.
        """
        if self._restored is not None:
            told, self._restored = self._restored, None
            return told
        self._result = result = self._train_epoch()
        if self._improves(result):
            self._best = _Best(
                epoch=result.epoch,
                value=result.values[self._objective.metric],
                weights=result.weights(),
                probabilities=result.probabilities,
            )
        if self._over or self._stop_requested() or self._due():
            self._save(with_state=self._can_go_on)
        return result.epoch, result.values

    def _train_epoch(self) -> EpochResult:
        try:
            return next(self._epochs)
        except torch.OutOfMemoryError as error:
            figures = " ".join(str(error).split())
        # Only now: the traceback of the error holds on to tensors on the card.
        self._epochs.close()
        torch.cuda.empty_cache()
        raise OutOfMemoryError(figures)

    def close(self) -> None:
        """Write what a trial that ends here must leave; its state too if it is to go on later."""
        if self._result is not None:
            self._save(with_state=self._stop_requested() and self._can_go_on)

    @property
    def _over(self) -> bool:
        """True after the last epoch, and after one whose loss was not finite."""
        result = self._result
        return result is not None and (result.epoch >= self._config.epochs or result.diverged)

    @property
    def _can_go_on(self) -> bool:
        """True if there may be a next epoch; at a constant rate a whole trial can be extended."""
        result, config = self._result, self._config
        if result is None or result.diverged:
            return False
        return result.epoch < config.epochs or not config.schedule_needs_epochs

    def _restore(self) -> dict[str, Any] | None:
        """Read the last checkpoint; one that is missing or damaged means a start from nothing."""
        try:
            state = load(self._folder / "last.pt")
        except (FileNotFoundError, CheckpointError):
            return None
        if state["best"] is not None:
            self._best = _Best(**state["best"])
        self._saved_epoch = state["loop"]["epoch"]
        self._restored = (self._saved_epoch, state["values"])
        return dict(state["loop"])

    def _improves(self, result: EpochResult) -> bool:
        value = result.values[self._objective.metric]
        if self._best is None or not np.isfinite(value):
            return bool(np.isfinite(value))
        if self._objective.at == "last":
            return True
        sign = 1 if self._objective.mode == "max" else -1
        return sign * value > sign * self._best.value

    def _stop_requested(self) -> bool:
        return (self._run / STOP_FILE).exists()

    def _due(self) -> bool:
        """Return whether a checkpoint now stays within its share of the training time."""
        return self._save_seconds <= CHECKPOINT_SHARE * (time.monotonic() - self._saved_at)

    def _save(self, *, with_state: bool) -> None:
        """Write the best weights and predictions if they are new, then the state to go on from.

        In this order: a state on disk never knows of a best epoch whose weights are not there.
        """
        started = time.monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)
        best, result = self._best, self._result
        if best is not None and best.weights is not None and best.probabilities is not None:
            write_predictions(
                self._run,
                self._id,
                self._data.source,
                split="val",
                config=self._config,
                epoch=best.epoch,
                probabilities=best.probabilities,
            )
            state = classifier_state(
                self._config, self._data.source.manifest, epoch=best.epoch, weights=best.weights
            )
            save(self._folder / "best.pt", state)
            best.weights = best.probabilities = None
        if with_state and result is not None and result.epoch > self._saved_epoch:
            known = None if best is None else {"epoch": best.epoch, "value": best.value}
            state = {"loop": result.state(), "best": known, "values": dict(result.values)}
            save(self._folder / "last.pt", state)
            self._saved_epoch = result.epoch
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started
