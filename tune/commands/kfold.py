"""`tune kfold`: train configurations on every fold of train and val, in a new run."""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from fairsweep.command_line import shell_path
from tune.commands.options import add_derived
from tune.commands.outcome import close
from tune.execution.executor import Executor
from tune.run.directory import RUNS, RunError
from tune.session.carried import Carried, carried_groups
from tune.session.origin import find_origin
from tune.session.session import ON_RAY, start
from tune.sweep.spec import SweepSpec, load_spec
from tune.sweep.sweep import Sweep

EXAMPLE = "runs/quick --folds 5 --repeats 2"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run or spec, and the number of folds."""
    command.add_argument(
        "what", type=Path, metavar="RUN|SPEC.yaml", help="a run directory, or a sweep spec"
    )
    command.add_argument("--folds", type=int, default=10, metavar="K", help="number of folds (10)")
    command.add_argument(
        "--repeats", type=int, default=1, metavar="R", help="split into folds R times (1)"
    )
    add_derived(command)


def run(parsed: argparse.Namespace) -> int:
    """Train on every fold, print a summary, and return the exit code."""
    run, sweep = kfold(
        parsed.what,
        RUNS,
        folds=parsed.folds,
        repeats=parsed.repeats,
        trial_id=parsed.trial,
        name=parsed.name,
        data=parsed.data,
        overrides=parsed.set,
        trust_code=parsed.trust_code,
    )
    code = close(run, sweep)
    if code == 0:
        print(summary(run, sweep))
    return code


def kfold(
    what: Path,
    root: Path,
    *,
    folds: int,
    repeats: int,
    trial_id: str | None = None,
    name: str | None = None,
    data: str | None = None,
    overrides: Iterable[str] = (),
    trust_code: bool = False,
    executor: Executor = ON_RAY,
) -> tuple[Path, Sweep]:
    """Train configurations on each fold; return the new run's directory and its sweep.

    Args:
        what: A run directory, whose incumbent is trained, or a spec, whose configurations all are.
        root: Folder of the new run directory.
        folds: Number of folds.
        repeats: How often the pictures are split into folds.
        trial_id: Trial of the run to train instead of the incumbent.
        name: Name of the new run; by default that of the run or spec with ``-kfold``.
        data: Path of the dataset, if it differs from that in the run or the spec.
        overrides: ``key=value`` changes of the new run's spec.
        trust_code: Whether own code of the run may be imported that the user has not run before.
        executor: Trains the trials.

    Raises:
        FileNotFoundError: The dataset does not exist.
        RunError: The run is not finished, has no such trial, or the new run already exists.
        SpecError: The spec breaks a rule, or stops trials early.
        UserError: There are too few pictures for so many folds.
    """
    changes = {"folds": folds, "repeats": repeats}
    if not what.is_dir():
        spec = _spec(what, changes, trial_id, name, data, overrides)
        return start(spec, root, executor=executor)
    origin = find_origin(what, trial_id=trial_id, data=data, trust_code=trust_code)
    if "initial" in origin.fixed:
        raise RunError(
            f"trial {origin.trial.id} started from weights that were trained on pictures of every "
            "fold; use the run that it was retrained from, or retrain it with --from-scratch first"
        )
    spec = origin.further_spec(name or f"{what.resolve().name}-kfold", changes, overrides)
    return start(spec, root, Carried(groups=carried_groups(what)), executor=executor)


def _spec(
    path: Path,
    changes: Mapping[str, Any],
    trial_id: str | None,
    name: str | None,
    data: str | None,
    overrides: Iterable[str],
) -> SweepSpec:
    if trial_id is not None:
        raise RunError(f"--trial names a trial of a run, but {path} is not a run directory")
    own = load_spec(path, overrides).name
    values: dict[str, Any] = {**changes, "name": name or f"{own}-kfold"}
    if data is not None:
        values["data"] = data
    texts = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    return load_spec(path, [*overrides, *texts])


def summary(run: Path, sweep: Sweep) -> str:
    """Return one line with each configuration's mean over its folds."""
    scores: dict[str, list[float]] = {}
    for trial in sweep.trials.values():
        value = sweep.objective(trial)
        if value is not None:
            scores.setdefault(trial.name, []).append(value)
    parts = [
        f"{name} {mean(values):.4f} on average ({min(values):.4f} to {max(values):.4f} on "
        f"{len(values)} folds)"
        for name, values in scores.items()
    ]
    return (
        f"{sweep.spec.objective.metric}: {'; '.join(parts)}; by fold, with the corrected interval: "
        f"`python -m analysis table {shell_path(run)} --what folds`"
    )
