"""One bundle's training inside a run directory: goes on from its checkpoint, leaves its files."""

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
from models.fit import fit_together
from models.loop import EpochResult
from models.state_size import state_bytes
from tune.execution.executor import EpochReport
from tune.execution.initial import read_initial
from tune.execution.memory import OutOfMemoryError
from tune.execution.predictions import write_predictions
from tune.run.directory import CHECKPOINTS_DIR, STOP_FILE, best_weights
from tune.run.objective import Objective
from tune.sweep.bundle import Bundle

CHECKPOINT_SHARE = 0.05
"""Most that checkpoints may take of the time between two of them."""
_DISK_BYTES_PER_SECOND = 200e6
"""What a disk is trusted to write before the first checkpoint was timed."""


@dataclass(kw_only=True)
class _Best:
    """The best epoch so far; weights and probabilities until they are on disk."""

    epoch: int
    value: float
    weights: Mapping[str, torch.Tensor] | None = None
    probabilities: npt.NDArray[np.float32] | None = None


class _Member:
    """A trial of the bundle: where it stands, and its best epoch."""

    def __init__(self, trial_id: str, config: TrainConfig, objective: Objective) -> None:
        self.id, self.config = trial_id, config
        self.best: _Best | None = None
        self.result: EpochResult | None = None
        self._objective = objective

    def hear(self, result: EpochResult) -> None:
        """Take in an epoch; keep its weights if it is the best so far."""
        self.result = result
        if self._improves(result):
            self.best = _Best(
                epoch=result.epoch,
                value=result.values[self._objective.metric],
                weights=result.weights(),
                probabilities=result.probabilities,
            )

    @property
    def over(self) -> bool:
        """True after the last epoch, and after one whose loss was not finite."""
        result = self.result
        return result is not None and (result.epoch >= self.config.epochs or result.diverged)

    @property
    def can_go_on(self) -> bool:
        """True if there may be a next epoch; at a constant rate a whole trial can be extended."""
        if self.result is None or self.result.diverged:
            return False
        return self.result.epoch < self.config.epochs or not self.config.schedule_needs_epochs

    def state(self) -> dict[str, Any]:
        """Return all that the trial needs to go on from here."""
        assert self.result is not None, "no epoch was trained"
        known = None if self.best is None else {"epoch": self.best.epoch, "value": self.best.value}
        return {"loop": self.result.state(), "best": known, "values": dict(self.result.values)}

    def write_best(self, run: Path, data: DeviceDataset) -> None:
        """Write the best weights and predictions if they are new."""
        best = self.best
        if best is None or best.weights is None or best.probabilities is None:
            return
        path = best_weights(run, self.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_predictions(
            run,
            self.id,
            data.source,
            split="val",
            config=self.config,
            epoch=best.epoch,
            probabilities=best.probabilities,
        )
        state = classifier_state(
            self.config, data.source.manifest, epoch=best.epoch, weights=best.weights
        )
        save(path, state)
        best.weights = best.probabilities = None

    def _improves(self, result: EpochResult) -> bool:
        value = result.values[self._objective.metric]
        if self.best is None or not np.isfinite(value):
            return bool(np.isfinite(value))
        if self._objective.at == "last":
            return True
        sign = 1 if self._objective.mode == "max" else -1
        return sign * value > sign * self.best.value


class BundleTraining:
    """Trains the trials of a bundle, epoch by epoch; each file that it leaves is whole or absent.

    One trial's state lies in its own folder; that of several as one in a file of all, so that they
    stand at the same epoch whenever their process is killed.
    """

    def __init__(
        self, *, run: Path, bundle: Bundle, objective: Objective, data: DeviceDataset
    ) -> None:
        self._run = run
        self._data = data
        self._state_file = run / CHECKPOINTS_DIR / bundle.folder / "last.pt"
        self._members = {
            trial_id: _Member(trial_id, TrainConfig.create(values), objective)
            for trial_id, values in bundle.trials.items()
        }
        self._in_order = tuple(self._members.values())
        """All of them, also when some have ended."""
        self._alone = bundle.folder == bundle.key
        self._restored: list[EpochReport] = []
        self._saved_epoch = 0
        self._saved_at = time.monotonic()
        config = self._in_order[0].config
        self.parameters = count_parameters(config, **data.task)
        self.device = torch.cuda.get_device_name() if data.device.type == "cuda" else "cpu"
        size = state_bytes(self.parameters, config.optimizer) * len(self._members)
        self._save_seconds = size / _DISK_BYTES_PER_SECOND
        states = self._restore()
        self._epochs = fit_together(
            [member.config for member in self._in_order],
            data,
            channels_last=bundle.channels_last,
            states=states,
            initial=None if states is not None else read_initial(run, config),
        )

    def advance(self) -> list[EpochReport]:
        """Train one epoch, keep the best so far, and write a checkpoint when it is due.

        After a restart the checkpoint's own epoch is reported once more, because its process may
        have died before the ledger had it.
        """
        if self._restored:
            reports, self._restored = self._restored, []
            return reports
        for result in self._train_epoch():
            self._in_order[result.member].hear(result)
        members = self._members.values()
        if any(one.over for one in members) or self._stop_requested() or self._due():
            self._save(with_state=any(one.can_go_on for one in members))
        return [
            EpochReport(
                trial_id=member.id, epoch=member.result.epoch, values=dict(member.result.values)
            )
            for member in members
            if member.result
        ]

    def end(self, trial_id: str) -> None:
        """Leave the files of a trial that ends before the others."""
        self._members.pop(trial_id).write_best(self._run, self._data)

    def close(self) -> None:
        """Write what trials that end here must leave; their state too if they are to go on."""
        members = self._members.values()
        if any(one.result is not None for one in members):
            going_on = self._stop_requested() and any(one.can_go_on for one in members)
            self._save(with_state=going_on)

    def _train_epoch(self) -> list[EpochResult]:
        try:
            return next(self._epochs)
        except torch.OutOfMemoryError as error:
            figures = " ".join(str(error).split())
        # Only now: the traceback of the error holds on to tensors on the card.
        self._epochs.close()
        torch.cuda.empty_cache()
        raise OutOfMemoryError(figures)

    def _restore(self) -> list[Mapping[str, Any]] | None:
        """Read the last checkpoint; one that is missing or damaged means a start from nothing."""
        try:
            saved = load(self._state_file)
        except (FileNotFoundError, CheckpointError):
            return None
        if not self._alone and any(one.id not in saved for one in self._in_order):
            return None
        states = [saved if self._alone else saved[one.id] for one in self._in_order]
        for member, state in zip(self._in_order, states, strict=True):
            if state["best"] is not None:
                member.best = _Best(**state["best"])
            self._saved_epoch = state["loop"]["epoch"]
            report = EpochReport(
                trial_id=member.id, epoch=self._saved_epoch, values=state["values"]
            )
            self._restored.append(report)
        return [state["loop"] for state in states]

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
        for member in self._members.values():
            member.write_best(self._run, self._data)
        trained = {one.id: one for one in self._members.values() if one.can_go_on}
        epoch = max((one.result.epoch for one in trained.values() if one.result), default=0)
        if with_state and epoch > self._saved_epoch:
            states = {trial_id: member.state() for trial_id, member in trained.items()}
            self._state_file.parent.mkdir(parents=True, exist_ok=True)
            save(self._state_file, next(iter(states.values())) if self._alone else states)
            self._saved_epoch = epoch
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started
