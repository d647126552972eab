"""The last line, the exit code and the report of commands that train."""

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path

from fairsweep.command_line import INTERRUPTED, NOTHING_SUCCEEDED, shell_path
from tune.run.trial import Status
from tune.sweep.sweep import Sweep


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the wish for a report."""
    command.add_argument(
        "--report", action="store_true",
        help="write the report when the sweep has ended, as `python -m analysis report` does",
    )  # fmt: skip


def close(run: Path, sweep: Sweep, *, report: bool = False) -> int:
    """Print the last line of a driver session and return its exit code.

    Args:
        run: The run directory.
        sweep: The sweep at the end of the session.
        report: Whether to write the report, if the sweep has ended with a result.
    """
    print(last_line(run, sweep), flush=True)
    code = _exit_code(sweep)
    if report and code == 0:
        # A process of its own, because `tune` does not import `analysis`.
        return subprocess.run([sys.executable, "-m", "analysis", "report", str(run)]).returncode
    return code


def _exit_code(sweep: Sweep) -> int:
    if not sweep.finished and not sweep.ends_as_designed:
        return INTERRUPTED
    completed = any(trial.status is Status.COMPLETED for trial in sweep.trials.values())
    return 0 if completed else NOTHING_SUCCEEDED


def last_line(run: Path, sweep: Sweep) -> str:
    """Return one line on how a driver session ended."""
    counts = Counter(trial.status for trial in sweep.trials.values())
    parts = ", ".join(f"{count} {status.lower()}" for status, count in sorted(counts.items()))
    best = sweep.incumbent
    figure = ""
    if best is not None:
        figure = f"; best {sweep.spec.objective.metric} {sweep.objective(best):.4f} by {best.name}"
    line = f"{run}: {parts or 'no trials'}{figure}; {sweep.seconds:.0f} s"
    if sweep.finished and Status.FAILED in counts:
        line += (
            f"; `python -m tune resume {shell_path(run)} --retry-failed` trains failed trials again"
        )
    if sweep.finished:
        return line
    if not sweep.ends_as_designed:
        return f"{line}; {sweep.stopping}; continue with `python -m tune resume {shell_path(run)}`"
    started = sum(not trial.ended for trial in sweep.trials.values())
    left = sweep.expected - len(sweep.trials) + started
    return (
        f"{line}; {sweep.stopping}, and {left} trials are left untrained; continue with "
        f"`python -m tune extend {shell_path(run)} --set budget=…`"
    )
