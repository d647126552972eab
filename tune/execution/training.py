"""The training of a bundle in a run directory: resumes from its checkpoint and writes its files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fairsweep.errors import one_line
from models.build import count_parameters
from models.checkpoint import CheckpointError, load, save
from models.classifier import classifier_state
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import fit_together
from models.loop import EpochResult
from models.state_size import state_bytes
from tune.execution.executor import CHECKPOINT_SHARE, EpochReport
from tune.execution.initial import read_initial
from tune.execution.memory import OutOfMemoryError
from tune.execution.own_failures import network_failures_kept
from tune.execution.predictions import write_predictions
from tune.run.directory import CHECKPOINTS_DIR, STOP_FILE, best_weights
from tune.run.objective import Objective
from tune.sweep.bundle import Bundle

_DISK_BYTES_PER_SECOND = 200e6
"""Assumed speed of the disk before the first checkpoint is timed."""


@dataclass(kw_only=True)
class _Best:
    """The best epoch so far; its weights and probabilities are None once they are on disk."""

    epoch: int
    value: float
    weights: Mapping[str, torch.Tensor] | None = None
    probabilities: npt.NDArray[np.float32] | None = None


class _Member:
    """A trial of the bundle: its last and its best epoch."""

    def __init__(self, trial_id: str, config: TrainConfig, objective: Objective) -> None:
        self.id, self.config = trial_id, config
        self.best: _Best | None = None
        self.result: EpochResult | None = None
        self._objective = objective

    def hear(self, result: EpochResult) -> None:
        """Record an epoch; keep its weights if it is the best so far."""
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
        """True after the last epoch, and after an epoch with a non-finite loss."""
        result = self.result
        return result is not None and (result.epoch >= self.config.epochs or result.diverged)

    @property
    def can_go_on(self) -> bool:
        """True if there can be a next epoch; with a constant rate, even a whole trial has one."""
        if self.result is None or self.result.diverged:
            return False
        return self.result.epoch < self.config.epochs or not self.config.schedule_needs_epochs

    def state(self) -> dict[str, Any]:
        """Return everything that the trial needs to resume from here."""
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
    """Trains the trials of a bundle, epoch by epoch, and writes all files atomically.

    The state of a separate trial is in its own folder. The states of fused trials are in one file,
    so that they belong to the same epoch whenever the process is killed.
    """

    def __init__(
        self, *, run: Path, bundle: Bundle, objective: Objective, data: DeviceDataset
    ) -> None:
        self._run = run
        self._data = data
        self._state_file = run / CHECKPOINTS_DIR / bundle.folder / "last.pt"
        self._pauses_after = frozenset(bundle.pauses_after)
        self._members = {
            trial_id: _Member(trial_id, TrainConfig.create(values), objective)
            for trial_id, values in bundle.trials.items()
        }
        self._in_order = tuple(self._members.values())
        """All members, including those that have ended."""
        self._separate = bundle.folder == bundle.key
        self._restored: list[EpochReport] = []
        self._saved_epoch = 0
        self._saved_at = time.monotonic()
        config = self._in_order[0].config
        with network_failures_kept(run, bundle.key, config.family):
            self.parameters = count_parameters(config, **data.task)
        self.device = torch.cuda.get_device_name() if data.device.type == "cuda" else "cpu"
        averaged = config.ema_decay > 0
        of_one = state_bytes(self.parameters, config.optimizer, averaged=averaged)
        size = of_one * len(self._members)
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

        After a restart, the epoch of the checkpoint is reported again, because the earlier process
        may have died before the epoch was in the ledger.
        """
        if self._restored:
            reports, self._restored = self._restored, []
            return reports
        for result in self._train_epoch():
            self._in_order[result.member].hear(result)
        members = self._members.values()
        over = any(member.over for member in members)
        if over or self._stop_requested() or self._may_pause() or self._due():
            self._save(with_state=any(member.can_go_on for member in members))
        return [
            EpochReport(
                trial_id=member.id, epoch=member.result.epoch, values=dict(member.result.values)
            )
            for member in members
            if member.result
        ]

    def end(self, trial_id: str) -> None:
        """Write the files of a trial that ends before the others."""
        self._members.pop(trial_id).write_best(self._run, self._data)

    def close(self) -> None:
        """Write the files of the remaining trials; if the run is stopping, also their state."""
        members = self._members.values()
        if any(member.result is not None for member in members):
            going_on = self._stop_requested() and any(member.can_go_on for member in members)
            self._save(with_state=going_on)

    def _train_epoch(self) -> list[EpochResult]:
        first = self._in_order[0]
        with network_failures_kept(self._run, first.id, first.config.family):
            return self._next_epoch()

    def _next_epoch(self) -> list[EpochResult]:
        try:
            return next(self._epochs)
        except torch.OutOfMemoryError as error:
            figures = one_line(error)
        # Not inside the handler, where the traceback still references tensors on the card.
        self._epochs.close()
        torch.cuda.empty_cache()
        raise OutOfMemoryError(figures)

    def _restore(self) -> list[Mapping[str, Any]] | None:
        """Read the last checkpoint; return None if it is missing or damaged."""
        try:
            saved = load(self._state_file)
        except (FileNotFoundError, CheckpointError):
            return None
        if not self._separate and any(member.id not in saved for member in self._in_order):
            return None
        states = [saved if self._separate else saved[member.id] for member in self._in_order]
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

    def _may_pause(self) -> bool:
        """Return whether the trials may continue in another worker after this epoch."""
        reached = (member.result.epoch for member in self._members.values() if member.result)
        return not self._pauses_after.isdisjoint(reached)

    def _due(self) -> bool:
        """Return whether a checkpoint now stays within ``CHECKPOINT_SHARE``."""
        return self._save_seconds <= CHECKPOINT_SHARE * (time.monotonic() - self._saved_at)

    def _save(self, *, with_state: bool) -> None:
        """Write the best weights and predictions if they are new, then the state to resume from.

        In this order, a state on disk never names a best epoch whose weights are missing.
        """
        started = time.monotonic()
        for member in self._members.values():
            member.write_best(self._run, self._data)
        trained = {member.id: member for member in self._members.values() if member.can_go_on}
        epoch = max(
            (member.result.epoch for member in trained.values() if member.result), default=0
        )
        if with_state and epoch > self._saved_epoch:
            states = {trial_id: member.state() for trial_id, member in trained.items()}
            self._state_file.parent.mkdir(parents=True, exist_ok=True)
            save(self._state_file, next(iter(states.values())) if self._separate else states)
            self._saved_epoch = epoch
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started
