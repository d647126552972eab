"""Sweeps on Ray. `search` runs one from Python; see docs/python_api.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.loaded import Run

__all__ = ["search"]


def search(
    spec: Mapping[str, Any] | str | Path,
    *,
    data: str | Path | None = None,
    name: str | None = None,
    changes: Sequence[str] = (),
    runs: str | Path = "runs",
) -> "Run":
    """Run a sweep, or continue it if it has begun, and return the run as `analysis.load` does.

    Args:
        spec: The sweep spec: its values, or the path of a YAML file.
        data: Path or URL of the dataset, instead of the spec's.
        name: Name of the run, instead of the spec's.
        changes: ``key=value`` changes of the spec, as ``--set`` of the commands.
        runs: Folder of runs.

    Raises:
        RunError: The run is in use, or was made with another spec.
        SpecError: The spec breaks a rule.
        UserError: No trial succeeded.
    """
    # Imported here, because Ray and pandas take seconds.
    import analysis
    from tune.session.from_python import run_or_resume

    return analysis.load(
        run_or_resume(spec, data=data, name=name, changes=changes, runs=Path(runs)), data=data
    )
