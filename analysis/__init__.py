"""Tables and figures of sweeps. `load` gives a run to Python; see docs/python_api.md."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.loaded import Run

__all__ = ["load"]


def load(run: str | Path, *, data: str | Path | None = None, margin: float | None = None) -> "Run":
    """Read a run directory, for example ``runs/quick``.

    Args:
        run: The run directory.
        data: The dataset directory, if it was moved.
        margin: Smaller differences of the metric count as equivalent; as ``--margin`` of the
            commands.

    Raises:
        UserError: ``run`` is not a run directory, or no trial of it has finished or succeeded.
    """
    # Imported here, because pandas and matplotlib take a second.
    from analysis.loaded import Run
    from analysis.run.run_data import read_run

    return Run(read_run(Path(run), None if data is None else Path(data), margin))
