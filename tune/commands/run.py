"""`tune run`: run a new sweep."""

import argparse

from tune.commands.options import QUICK, add_spec, print_pick, spec_of
from tune.commands.outcome import add_report, close
from tune.run.directory import RUNS
from tune.session.session import start

EXAMPLE = f"{QUICK} --data data/faces --set fixed.epochs=3"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the spec, its changes, and the wish for a report."""
    add_spec(command)
    add_report(command)


def run(parsed: argparse.Namespace) -> int:
    """Run the sweep and return its exit code."""
    spec = spec_of(parsed)
    print_pick(spec)
    return close(*start(spec, RUNS), report=parsed.report)
