"""`tune resume`: continue a stopped or killed run."""

import argparse

from tune.commands.options import add_data, add_run, add_trust
from tune.commands.outcome import add_report, close
from tune.session.session import resume

EXAMPLE = "runs/quick"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and where its dataset is."""
    add_run(command)
    add_data(command)
    add_trust(command)
    command.add_argument("--retry-failed", action="store_true", help="train failed trials again")
    add_report(command)


def run(parsed: argparse.Namespace) -> int:
    """Resume the run and return its exit code."""
    sweep = resume(
        parsed.run,
        data=parsed.data,
        retry_failed=parsed.retry_failed,
        trust_code=parsed.trust_code,
    )
    return close(parsed.run, sweep, report=parsed.report)
