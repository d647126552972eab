"""The last line, the report and the exit code of commands that train."""

import argparse
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from fairsweep.command_line import INTERRUPTED, NOTHING_SUCCEEDED, shell_path
from tune.run.trial import Status
from tune.sweep.sweep import Sweep

_NEEDED = ("pandas", "matplotlib", "statsmodels")
"""Libraries of a report that a sweep does without."""


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the wish for a report."""
    command.add_argument(
        "--report",
        action="store_true",
        help="when the sweep has ended, write what `analysis report RUN` writes",
    )


def refuse_without_libraries(*, report: bool) -> None:
    """Refuse a report that could not be written, before anything is trained.

    Raises:
        ModuleNotFoundError: A library that reports need is not installed.
    """
    for name in _NEEDED:
        if report and find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def close(run: Path, sweep: Sweep, *, report: bool = False) -> int:
    """Print the last line of a driver session, write a report and return the exit code.

    Args:
        run: The run directory.
        sweep: The sweep as it is now.
        report: Whether to write the report, if the sweep has ended and a trial completed. If that
            fails, its exit code is returned.
    """
    print(last_line(run, sweep), flush=True)
    if not sweep.finished and not sweep.ends_as_designed:
        return INTERRUPTED
    if not any(trial.status is Status.COMPLETED for trial in sweep.trials.values()):
        return NOTHING_SUCCEEDED
    if not report:
        return 0
    # A process of its own: a sweep does not import the libraries of analysis, nor the reverse.
    words = [sys.executable, "-m", "analysis", "report", str(run)]
    return subprocess.run(words, check=False).returncode


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
