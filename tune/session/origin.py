"""The trial that a new run is derived from, and the spec of the new run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.reader import ImageDataset
from fairsweep.command_line import shell_path
from models.config_ids import DRAW
from tune.run.directory import RunError
from tune.run.ledger import read_events
from tune.run.lookup import find_trial
from tune.run.trial import Trial
from tune.session.code import open_code
from tune.session.data import find_data
from tune.session.run_directory import read_provenance, read_spec
from tune.sweep.replay import replay
from tune.sweep.spec import SweepSpec, override_spec, parse_spec

_KEPT = (
    "train",
    "code",
    "networks",
    "objective",
    "resources",
    "retries",
    "keep",
    "loggers",
)
"""Parts of a run's spec that are copied to the runs derived from it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """A trial of a run, and the dataset that it was trained on."""

    run: Path
    spec: SweepSpec
    trial: Trial
    data: str
    """Path or URL of the dataset."""
    dataset: ImageDataset | None
    """None if own training code reads other data."""

    @property
    def fixed(self) -> dict[str, Any]:
        """The hyperparameters of the trial, without what a sweep sets itself."""
        by_sweep = ("train", *DRAW)
        return {name: value for name, value in self.trial.config.items() if name not in by_sweep}

    def further_spec(
        self, name: str, changes: Mapping[str, Any], overrides: Iterable[str]
    ) -> SweepSpec:
        """Return the spec of a run that trains only this configuration, with ``changes``.

        Raises:
            SpecError: The new spec breaks a rule.
        """
        before = self.spec.model_dump(mode="json")
        values = {
            "name": name,
            "data": self.data,
            "fixed": self.fixed,
            "space": {},
            "seed": self.trial.config["seed"],
            **{key: before[key] for key in _KEPT if key in before},
            **changes,
        }
        return override_spec(parse_spec(values, str(self.run)), overrides)


def find_origin(
    run: Path,
    *,
    trial_id: str | None = None,
    data: str | None = None,
    trust_code: bool = False,
) -> Origin:
    """Find a trial of a run, by default the incumbent.

    Args:
        run: The run directory.
        trial_id: The trial's id, number or name; required if the run is not finished yet.
        data: Path or URL of the dataset, if it was moved.
        trust_code: Whether own code of the run may be imported that the user has not run before.

    Raises:
        FileNotFoundError: The dataset does not exist.
        RunError: ``run`` is not a run directory, is not finished, or has no such trial; or the
            dataset is not the one that the run was made with.
        UserError: The run has own code that the user does not trust yet.
    """
    spec = read_spec(run)
    open_code(run, spec, trust_code=trust_code)
    sweep = replay(spec, read_events(run))
    if trial_id is None and not sweep.finished:
        raise RunError(
            f"{run} is not finished, so its incumbent may change; finish it with "
            f"`python -m tune resume {shell_path(run)}`, or name a trial with --trial"
        )
    trials = sweep.trials.values()
    trial = sweep.incumbent if trial_id is None else find_trial(run, trials, trial_id)
    if trial is None:
        raise RunError(f"{run} has no trained trial")
    dataset = find_data(run, spec, data)
    return Origin(
        run=run,
        spec=sweep.spec,
        trial=trial,
        data=data or (spec.data if dataset is None else read_provenance(run)["dataset"]["path"]),
        dataset=dataset,
    )
