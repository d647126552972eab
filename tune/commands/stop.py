"""`tune stop`: ask a running sweep, or one of its trials, to stop."""

import argparse

from tune.commands.options import add_run
from tune.session.status import request_stop

EXAMPLE = "runs/quick"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and the trial."""
    add_run(command)
    command.add_argument("--trial", metavar="TRIAL", help="end only this trial")


def run(parsed: argparse.Namespace) -> int:
    """Write the request and return 0."""
    request_stop(parsed.run, parsed.trial)
    what = parsed.run if parsed.trial is None else f"trial {parsed.trial} of {parsed.run}"
    print(f"{what} will stop at the end of the current epoch")
    return 0
