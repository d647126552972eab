"""How `tune` prints plans and statuses for people."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from data_prep.manifest import DatasetManifest
from tune.plan import Plan
from tune.spec import SweepSpec
from tune.status import run_status
from tune.sweep import Sweep

_MOST_ROWS = 40


def print_plan(plan: Plan, spec: SweepSpec, manifest: DatasetManifest) -> None:
    """Print a plan: a table of configurations and the sums below it."""
    table = _table("configuration", "parameters", "MFLOP/picture", "memory", "checkpoint")
    for one in plan.configurations[:_MOST_ROWS]:
        table.add_row(
            one.name,
            f"{one.parameters:,}",
            f"{one.flop_per_picture / 1e6:.0f}",
            _size(one.memory_bytes),
            _size(one.checkpoint_bytes),
        )
    console = Console()
    console.print(table)
    hidden = len(plan.configurations) - _MOST_ROWS
    if hidden > 0:
        console.print(f"and {hidden} more")
    pictures = sum(manifest.counts["train"].values())
    console.print(
        f"{plan.trials} trials of {len(plan.configurations)} configurations, about "
        f"{plan.epochs:.0f} epochs of {pictures:,} pictures in all"
    )
    if spec.scheduler.name != "none":
        console.print(f"(expecting {spec.scheduler.name} to stop trials at each rung)")
    console.print(
        f"up to {_size(plan.disk_bytes)} of checkpoints at once, and about "
        f"{plan.seconds / 60:.0f} minutes on this machine's CPU cores"
    )


def last_line(run: Path, sweep: Sweep) -> str:
    """Say in one line how a sitting ended."""
    counts = Counter(trial.status for trial in sweep.trials.values())
    parts = ", ".join(f"{count} {status.lower()}" for status, count in sorted(counts.items()))
    best = sweep.incumbent
    figure = ""
    if best is not None:
        figure = f"; best {sweep.spec.objective.metric} {sweep.objective(best):.4f} by {best.name}"
    line = f"{run}: {parts or 'no trials'}{figure}; {sweep.seconds:.0f} s"
    if sweep.finished:
        return line
    return f"{line}; {sweep.stopping}; go on with `python -m tune resume {run}`"


def print_status(statuses: Sequence[dict[str, Any]]) -> None:
    """Print one row per run."""
    Console().print(_status_table(statuses))


def watch_status(run: Path) -> None:
    """Show a run's status anew every second until nobody works on it any more."""
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            status = run_status(run)
            live.update(Group(_status_table([status])), refresh=True)
            if not status["running"]:
                return
            time.sleep(1)


def _status_table(statuses: Sequence[dict[str, Any]]) -> Table:
    table = _table("run", "state", "trials", "best", "hours", "device-hours")
    for status in statuses:
        state = "finished" if status["finished"] else "running" if status["running"] else "stopped"
        counts = " ".join(f"{count} {name.lower()}" for name, count in status["trials"].items())
        of = f" of {status['expected_trials']}" if status["expected_trials"] else ""
        best = status["best"]
        table.add_row(
            status["name"],
            state,
            Text(counts + of),
            f"{best['metric']} {best['value']:.4f} {best['name']}" if best else "–",
            f"{status['seconds'] / 3600:.2f}",
            f"{status['device_seconds'] / 3600:.2f}",
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
