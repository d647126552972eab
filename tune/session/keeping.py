"""Decides which checkpoints a run keeps, to limit its disk space while the sweep runs."""

import shutil
from pathlib import Path

from tune.run.directory import CHECKPOINTS_DIR
from tune.run.trial import FINISHED, Status, Trial
from tune.sweep.sweep import Sweep

BEST_TRIALS = 10
"""How many of the best trials keep their best weights."""


class Keeper:
    """Removes the checkpoints of ended trials that the spec does not ask to keep."""

    def __init__(self, run: Path, sweep: Sweep) -> None:
        self._folder = run / CHECKPOINTS_DIR
        self._sweep = sweep
        self._ended = 0

    def tidy(self) -> None:
        """Remove checkpoints if a trial has ended since the last call."""
        ended = sum(trial.status in FINISHED for trial in self._sweep.trials.values())
        if ended != self._ended:
            self._ended = ended
            self.sweep_up()

    def sweep_up(self) -> None:
        """Remove weights that are not among the best, and states that no trial continues from."""
        if self._sweep.spec.keep == "all" or not self._folder.is_dir():
            return
        kept = self._sweep.worth_keeping(BEST_TRIALS)
        for folder in self._folder.iterdir():
            trials = self._sweep.trials_in(folder.name)
            if not trials or any(self._may_go_on(trial) for trial in trials):
                continue
            if kept.isdisjoint(trial.id for trial in trials):
                shutil.rmtree(folder, ignore_errors=True)
            elif not self._can_be_extended(trials[0]):
                (folder / "last.pt").unlink(missing_ok=True)

    def _can_be_extended(self, trial: Trial) -> bool:
        """Return whether a fully trained trial can be given more epochs."""
        code = self._sweep.spec.training_code
        if code is not None:
            return not code.gets_epochs
        return bool(trial.config["lr_schedule"] == "constant")

    def _may_go_on(self, trial: Trial) -> bool:
        # A failed trial may be tried again.
        gone = FINISHED - {Status.FAILED}
        return trial.status not in gone or trial.id in self._sweep.queue.lost
