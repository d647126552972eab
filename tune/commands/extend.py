"""`tune extend`: extend a run; trials that are already trained are kept."""

import argparse

from tune.commands.options import add_data, add_run, add_set, add_trust
from tune.commands.outcome import close
from tune.session.session import extend

EXAMPLE = "runs/quick --samples 8"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and its extension."""
    add_run(command)
    command.add_argument("--samples", type=int, default=0, metavar="N", help="N more proposals")
    add_set(command)
    add_data(command)
    add_trust(command)


def run(parsed: argparse.Namespace) -> int:
    """Extend the run and return its exit code."""
    sweep = extend(
        parsed.run,
        samples=parsed.samples,
        overrides=parsed.set,
        data=parsed.data,
        trust_code=parsed.trust_code,
    )
    return close(parsed.run, sweep)
