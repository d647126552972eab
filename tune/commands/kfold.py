"""`tune kfold`: train configurations on every fold of train and val, as a run of its own."""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

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
    """Add what is trained, and on how many folds."""
    command.add_argument(
        "what", type=Path, metavar="RUN|SPEC.yaml", help="a run directory, or a sweep spec"
    )
    command.add_argument("--folds", type=int, default=10, metavar="K", help="how many (10)")
    command.add_argument(
        "--repeats", type=int, default=1, metavar="R", help="deal the pictures R times (1)"
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
    executor: Executor = ON_RAY,
) -> tuple[Path, Sweep]:
    """Train a configuration on each fold; return the new run's directory and its end.

    Args:
        what: A run directory, whose incumbent is meant, or a spec, of which every configuration is.
        root: Where the new run lies.
        folds: How many.
        repeats: How often the pictures are dealt into them.
        trial_id: Another trial of the run than the incumbent.
        name: Of the new run; by default that of the run or spec with ``-kfold``.
        data: Where the dataset is, if not where the run or the spec says.
        overrides: ``key=value`` changes of the new run's spec.
        executor: Who trains.

    Raises:
        FileNotFoundError: The dataset is not there.
        RunError: The run is not finished or has no such trial; or the new one is there already.
        SpecError: The spec breaks a rule, or stops trials early.
        ValueError: There are too few pictures for so many folds.
    """
    changes = {"folds": folds, "repeats": repeats}
    if not what.is_dir():
        spec = _spec(what, changes, trial_id, name, data, overrides)
        return start(spec, root, executor=executor)
    origin = find_origin(what, trial_id=trial_id, data=data)
    if "initial" in origin.fixed:
        raise RunError(
            f"trial {origin.trial.id} started from weights that have seen pictures of every fold; "
            "take the run that it came from, or retrain with --from-scratch and take that one"
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
        raise RunError(f"--trial names a trial of a run, but {path} is no run directory")
    own = load_spec(path, overrides).name
    values: dict[str, Any] = {**changes, "name": name or f"{own}-kfold"}
    if data is not None:
        values["data"] = data
    texts = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    return load_spec(path, [*overrides, *texts])


def summary(run: Path, sweep: Sweep) -> str:
    """Say in a line what each configuration reached on average, and where the interval is told."""
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
        f"`python -m analysis table {run} --what folds`"
    )
