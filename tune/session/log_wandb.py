"""Writes trials as offline runs of Weights & Biases, which `wandb sync` uploads."""

import os
import secrets
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tune.run.trial import Measurement, Trial
from tune.session.log_writer import NOTES_FILE, given, is_useful
from tune.sweep.spec import SweepSpec


class WandbWriter:
    """Writes a folder per trial with the file that W&B uploads. Nothing is sent from here."""

    notes = NOTES_FILE

    def __init__(self, folder: Path, spec: SweepSpec) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._init, self._folder, self._project = wandb.init, folder, spec.name
        self._settings = wandb.Settings(
            mode="offline",
            silent=True,
            console="off",  # Standard output is the sweep's.
            disable_code=True,
            disable_git=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        self._open: dict[str, Any] = {}

    def begin(self, trial: Trial, old: str | None) -> str:
        """Create an offline run with the trial's hyperparameters, and delete the old one."""
        if old is not None:
            shutil.rmtree(self._folder / old, ignore_errors=True)
        hook = sys.excepthook
        try:
            run = self._init(
                dir=self._folder.parent,  # W&B adds a folder of this name itself.
                project=self._project,
                # A process cannot have two runs of one id, such as one whose sweep has failed.
                id=f"{trial.id}-{secrets.token_hex(3)}",
                name=f"{trial.name} seed {trial.config['seed']}",
                group=trial.configuration_id,
                job_type=trial.phase,
                config=given(trial),
                settings=self._settings,
                reinit="create_new",
            )
        finally:
            sys.excepthook = hook  # W&B would report errors of the sweep as those of its run.
        self._open[trial.id] = run
        return Path(run.dir).parent.name

    def log(self, trial: Trial, measurements: Iterable[Measurement]) -> None:
        """Add each metric, with the epoch as its step."""
        for measurement in measurements:
            values = {**measurement.values, "_timestamp": measurement.time}
            self._open[trial.id].log(values, step=measurement.epoch, commit=True)

    def end(self, trial: Trial, objective: float | None) -> None:
        """Add the objective and how the trial ended to the run's summary."""
        run = self._open.pop(trial.id)
        run.summary.update({"status": str(trial.status), "reason": trial.reason})
        if objective is not None:
            run.summary["objective"] = objective
        run.finish(exit_code=0 if is_useful(trial) else 1)

    def close(self) -> None:
        """Close the runs of trials that have not ended."""
        while self._open:
            self._open.popitem()[1].finish(exit_code=1)
