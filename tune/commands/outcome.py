"""The last line and the exit code of commands that train."""

from collections import Counter
from pathlib import Path

from fairsweep.command_line import INTERRUPTED, NOTHING_SUCCEEDED, shell_path
from tune.run.trial import Status
from tune.sweep.sweep import Sweep


def close(run: Path, sweep: Sweep) -> int:
    """Print the last line of a driver session and return its exit code."""
    print(last_line(run, sweep))
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
