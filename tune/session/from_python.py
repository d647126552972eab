"""Runs or resumes a sweep for `tune.search`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairsweep.command_line import shell_path
from tune.execution.executor import Executor
from tune.run.directory import LEDGER_FILE, RunError
from tune.session.run_directory import read_spec
from tune.session.session import ON_RAY, resume, start
from tune.sweep.spec import SweepSpec, load_spec, override_spec, parse_spec


def run_or_resume(
    spec: Mapping[str, Any] | str | Path,
    *,
    data: str | Path | None,
    name: str | None,
    changes: Sequence[str],
    runs: Path,
    executor: Executor = ON_RAY,
) -> Path:
    """Run a sweep, or continue a run of the same spec; return its directory.

    Raises:
        RunError: A run of this name was made with another spec, is in use, or has other data.
        SpecError: The spec breaks a rule.
    """
    wanted = _spec(spec, data, name, changes)
    run = runs / wanted.name
    if not (run / LEDGER_FILE).is_file():
        return start(wanted, runs, executor=executor)[0]
    known = read_spec(run)
    if known.to_yaml() != wanted.model_copy(update={"data": known.data}).to_yaml():
        raise RunError(
            f"{run} was made with another spec; give this one another name, or extend that run "
            f"with `python -m tune extend {shell_path(run)}`"
        )
    resume(run, data=data, executor=executor)
    return run


def _spec(
    spec: Mapping[str, Any] | str | Path,
    data: str | Path | None,
    name: str | None,
    changes: Sequence[str],
) -> SweepSpec:
    given = {"data": data, "name": name}
    overrides = [
        *changes,
        *(f"{k}={json.dumps(str(v))}" for k, v in given.items() if v is not None),
    ]
    if isinstance(spec, Mapping):
        named = {key: str(value) for key, value in given.items() if value is not None}
        parsed = parse_spec({**spec, **named})
        return override_spec(parsed, changes) if changes else parsed
    return load_spec(Path(spec), overrides)
