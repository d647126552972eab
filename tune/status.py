"""How a run stands, read from its ledger; works while it runs, after, and from any machine."""

from collections import Counter
from pathlib import Path
from typing import Any

from tune.run_directory import RUNS, RunError, holder_of, read_provenance, read_spec
from tune.schema import LEDGER_FILE, STOP_FILE, Status, read_events
from tune.sweep import Sweep


def read_sweep(run: Path) -> Sweep:
    """Read a run's sweep back from its ledger.

    Raises:
        RunError: ``run`` is no run directory.
    """
    spec = read_spec(run)
    fingerprint = read_provenance(run)["dataset"]["fingerprint"]
    return Sweep(spec, fingerprint=fingerprint, events=read_events(run))


def run_status(run: Path) -> dict[str, Any]:
    """Return the status of a run: the keys that `tune status --json` promises, and its holder."""
    sweep = read_sweep(run)
    holder = holder_of(run)
    statuses = Counter(_alive(trial.status, holder) for trial in sweep.trials.values())
    return {
        "name": sweep.spec.name,
        "finished": sweep.finished,
        "running": holder is not None,
        "trials": dict(sorted(statuses.items())),
        "expected_trials": sweep.expected,
        "best": _best(sweep),
        "seconds": round(sweep.seconds, 3),
        "device_seconds": round(sweep.device_seconds, 3),
    }


def request_stop(run: Path) -> None:
    """Ask the process that works on a run to let its trials write a checkpoint, and to stop.

    Raises:
        RunError: ``run`` is no run directory, or nobody works on it.
    """
    read_spec(run)
    if holder_of(run) is None:
        raise RunError(f"nothing works on {run}, so there is nothing to stop")
    (run / STOP_FILE).touch()


def list_runs(root: Path = RUNS) -> list[dict[str, Any]]:
    """Return the status of every run below ``root``, by name."""
    return [run_status(path.parent) for path in sorted(root.glob(f"*/{LEDGER_FILE}"))]


def _alive(status: Status, holder: Any) -> Status:
    # Without a living driver nothing runs, whatever the ledger's last line says.
    return Status.INTERRUPTED if status is Status.RUNNING and holder is None else status


def _best(sweep: Sweep) -> dict[str, Any] | None:
    trial = sweep.incumbent
    if trial is None:
        return None
    return {
        "id": trial.id,
        "name": trial.name,
        "metric": sweep.spec.objective.metric,
        "value": sweep.objective(trial),
        "config": dict(trial.config),
    }
