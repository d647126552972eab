"""`tune list`: show the status of every run below ``runs/``."""

import argparse
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from fairsweep.terminal import plain_console
from tune.commands.status import status_table
from tune.run.directory import RUNS
from tune.session.status import list_runs

EXAMPLE = ""


def add_arguments(_command: argparse.ArgumentParser) -> None:
    """Add nothing."""


def run(_parsed: argparse.Namespace) -> int:
    """Print the runs and return 0."""
    print_runs(list_runs(RUNS))
    return 0


def print_runs(statuses: Sequence[dict[str, Any]]) -> None:
    """Print one row per run, and below the table why some runs cannot be read."""
    damages = [Text(status["damage"]) for status in statuses if "damage" in status]
    plain_console().print(status_table(statuses), *damages, sep="\n")
