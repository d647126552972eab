"""How `tune` prints plans and statuses for people."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tune.progress import clock
from tune.status import RunWatch, run_status

if TYPE_CHECKING:  # A plan counts networks with torch, for which a status need not wait.
    from data_prep.manifest import DatasetManifest
    from tune.plan import Plan
    from tune.spec import SweepSpec
    from tune.sweep import Sweep

_MOST_ROWS = 40
_BARS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 50
"""Most bars that a curve is drawn with."""


def print_plan(plan: "Plan", spec: "SweepSpec", manifest: "DatasetManifest") -> None:
    """Print a plan: a table of configurations and the sums below it."""
    from tune.plan import training_pictures

    table = _table("configuration", "parameters", "MFLOP/picture", "memory", "checkpoint")
    for one in plan.configurations[:_MOST_ROWS]:
        table.add_row(
            one.config.name,
            f"{one.cost.parameters:,}",
            f"{one.cost.flop_per_picture / 1e6:.0f}",
            _size(one.cost.memory_bytes),
            _size(one.cost.checkpoint_bytes),
        )
    console = Console()
    console.print(table)
    hidden = len(plan.configurations) - _MOST_ROWS
    if hidden > 0:
        console.print(f"and {hidden} more")
    pictures = training_pictures(spec, manifest)
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


def last_line(run: Path, sweep: "Sweep") -> str:
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


def print_runs(statuses: Sequence[dict[str, Any]]) -> None:
    """Print one row per run, and below them why some cannot be read."""
    damages = [Text(status["damage"]) for status in statuses if "damage" in status]
    Console().print(_status_table(statuses), *damages, sep="\n")


def print_status(run: Path) -> None:
    """Print how one run stands."""
    Console().print(_status_view(run_status(run)))


def watch_status(run: Path) -> None:
    """Show a run's status anew every second until nobody works on it any more."""
    watch = RunWatch(run)
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            status = watch.status()
            live.update(_status_view(status), refresh=True)
            if not status["running"]:
                return
            time.sleep(1)


def _status_view(status: dict[str, Any]) -> Group:
    lines = [Text(line) for line in _status_lines(status)]
    trials = [_trials_table(status["running_trials"])] if status["running_trials"] else []
    return Group(_status_table([status]), *lines, *trials)


def _status_lines(status: dict[str, Any]) -> Iterator[str]:
    if status["best"]:
        yield f"best: trial {status['best']['id']}  {sparkline(status['curve'])}"
    if status["running"]:
        left = status["seconds_left"]
        yield (
            f"speed: {status['images_per_second']:,.0f} pictures/s, "
            f"{status['epochs_per_hour']:,.0f} epochs/h; "
            + ("time left not known yet" if left is None else f"about {clock(left)} left")
        )
    if status["lost_nodes"]:
        yield f"lost nodes: {', '.join(status['lost_nodes'])}; their trials went on elsewhere"
    for unit, budget in status["budget"].items():
        if budget["limit"] is not None:
            yield f"budget: {budget['spent']:.2f} of {budget['limit']:g} {unit.replace('_', '-')}"


def sparkline(curve: Sequence[float | None]) -> str:
    """Draw a curve in one line of bars, its range beside it; a figure that is None is a space."""
    finite = [value for value in curve if value is not None]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    step = max(1, -(-len(curve) // _CURVE_WIDTH))
    bars = "".join(
        " " if value is None else _BARS[round((value - low) / ((high - low) or 1) * 7)]
        for value in curve[::-step][::-1]
    )
    return f"{bars} {low:.4f} to {high:.4f} in {len(curve)} epochs"


def _trials_table(trials: Sequence[dict[str, Any]]) -> Table:
    table = _table("running", "trial", "epoch", "best", "pictures/s")
    for trial in trials:
        table.add_row(
            trial["id"],
            f"{trial['name']} {trial['draw']}",
            f"{trial['epoch']}/{trial['epochs']}",
            "–" if trial["value"] is None else f"{trial['value']:.4f}",
            "–" if trial["images_per_second"] is None else f"{trial['images_per_second']:,.0f}",
        )
    return table


def _status_table(statuses: Sequence[dict[str, Any]]) -> Table:
    table = _table("run", "state", "trials", "best", "hours", "device-hours")
    for status in statuses:
        if "damage" in status:
            table.add_row(status["name"], "damaged")
            continue
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
