"""`tune status`: show the status of a run."""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fairsweep.terminal import plain_console
from tune.commands.options import add_run
from tune.session.progress import clock
from tune.session.status import RunWatch, run_status

EXAMPLE = "runs/quick --watch"
_BARS = "▁▂▃▄▅▆▇█"
_MOST_FAILURES = 3
"""Most reasons of failures that are shown."""
_CURVE_WIDTH = 50
"""Most bars in a curve."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and how its status is shown."""
    add_run(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--watch", action="store_true", help="update every second")


def run(parsed: argparse.Namespace) -> int:
    """Show the status and return 0."""
    if parsed.watch:
        watch_status(parsed.run)
    elif parsed.json:
        print(json.dumps(run_status(parsed.run)))
    else:
        print_status(parsed.run)
    return 0


def print_status(run: Path) -> None:
    """Print the status of one run."""
    plain_console().print(_status_view(run_status(run)))


def watch_status(run: Path) -> None:
    """Show a run's status and update it every second while the run is running."""
    watch = RunWatch(run)
    with Live(console=plain_console(), auto_refresh=False) as live:
        while True:
            status = watch.status()
            live.update(_status_view(status), refresh=True)
            if not status["running"]:
                return
            time.sleep(1)


def _status_view(status: dict[str, Any]) -> Group:
    lines = [Text(line) for line in _status_lines(status)]
    trials = [_trials_table(status["running_trials"])] if status["running_trials"] else []
    return Group(status_table([status]), *lines, *trials)


def _status_lines(status: dict[str, Any]) -> Iterator[str]:
    if status["silence"]:
        yield status["silence"]
    if status["best"]:
        yield f"best: trial {status['best']['id']}  {sparkline(status['curve'])}"
    if status["running"]:
        left = status["seconds_left"]
        # Own training code does not tell how many pictures it trains on.
        speed = status["images_per_second"]
        pictures = f"{speed:,.0f} pictures/s, " if speed else ""
        yield (
            f"speed: {pictures}{status['epochs_per_hour']:,.0f} epochs/h; "
            + ("time left not known yet" if left is None else f"about {clock(left)} left")
        )
    for failure in status["failures"][:_MOST_FAILURES]:
        yield f"failed ({failure['trials']}): {failure['reason']}"
    if len(status["failures"]) > _MOST_FAILURES:
        yield f"failed: {len(status['failures']) - _MOST_FAILURES} more reasons; see --json"
    if status["lost_nodes"]:
        yield f"lost nodes: {', '.join(status['lost_nodes'])}; their trials continued elsewhere"
    for unit, budget in status["budget"].items():
        if budget["limit"] is not None:
            yield f"budget: {budget['spent']:.2f} of {budget['limit']:g} {unit.replace('_', '-')}"


def sparkline(curve: Sequence[float | None]) -> str:
    """Draw a curve as one line of bars, followed by its range; None is drawn as a space."""
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
    table = table_of("running", "trial", "epoch", "best", "pictures/s")
    for trial in trials:
        table.add_row(
            trial["id"],
            f"{trial['name']} {trial['draw']}",
            f"{trial['epoch']}/{trial['epochs']}",
            "–" if trial["value"] is None else f"{trial['value']:.4f}",
            "–" if trial["images_per_second"] is None else f"{trial['images_per_second']:,.0f}",
        )
    return table


def status_table(statuses: Sequence[dict[str, Any]]) -> Table:
    """Return a table with a row for each run."""
    table = table_of("run", "state", "trials", "best", "hours", "device-hours")
    for status in statuses:
        if "damage" in status:
            table.add_row(status["name"], "damaged")
            continue
        counts = " ".join(f"{count} {name.lower()}" for name, count in status["trials"].items())
        if "imported" in status:
            told = f"imported from {status['imported']}"
            table.add_row(status["name"], told, Text(counts), _best_words(status["best"]))
            continue
        table.add_row(
            status["name"],
            _state(status),
            Text(f"{counts} of {status['expected_trials']}"),
            _best_words(status["best"]),
            f"{status['seconds'] / 3600:.2f}",
            f"{status['device_seconds'] / 3600:.2f}",
        )
    return table


def _best_words(best: dict[str, Any] | None) -> str:
    return f"{best['metric']} {best['value']:.4f} {best['name']}" if best else "–"


def _state(status: dict[str, Any]) -> str:
    if status["finished"]:
        return "finished"
    if status["running"]:
        return "running"
    return "silent" if status["silence"] else "stopped"


def table_of(first: str, *others: str) -> Table:
    """Return an empty table with these headings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table
