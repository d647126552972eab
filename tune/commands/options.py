"""Options that several commands share."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # The import takes half a second, and parsers do not need it.
    from tune.sweep.spec import SweepSpec

QUICK = "tune/specs/quick.yaml"
"""The spec in the examples of the help."""


def add_spec(command: argparse.ArgumentParser) -> None:
    """Add a spec, and changes of it."""
    command.add_argument("spec", type=Path, metavar="SPEC.yaml", help="the sweep spec")
    command.add_argument(
        "--data", metavar="DIR", help="path or URL of the dataset, instead of the spec's"
    )
    command.add_argument("--name", help="name of the run, instead of the spec's")
    add_set(command)


def add_run(command: argparse.ArgumentParser) -> None:
    """Add a run directory."""
    command.add_argument("run", type=Path, metavar="RUN", help="a run directory")


def add_data(command: argparse.ArgumentParser) -> None:
    """Add the path of a dataset that was moved."""
    command.add_argument(
        "--data", metavar="DIR", help="path or URL of the dataset, if it has moved"
    )


def add_trust(command: argparse.ArgumentParser) -> None:
    """Add the user's word that own code in a run may be imported."""
    command.add_argument(
        "--trust-code",
        action="store_true",
        help="import own code in the run, although you have not run it before",
    )


def add_trial(command: "argparse._ActionsContainer") -> None:
    """Add a trial, to be used instead of the incumbent."""
    command.add_argument(
        "--trial", metavar="TRIAL", help="id, number or name of a trial other than the incumbent"
    )


def add_set(command: argparse.ArgumentParser) -> None:
    """Add changes of values in a spec."""
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one spec value"
    )


def add_derived(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that make a run from another one."""
    add_trial(command)
    add_trust(command)
    command.add_argument("--name", help="name of the new run")
    add_data(command)
    add_set(command)


def spec_of(parsed: argparse.Namespace) -> "SweepSpec":
    """Load the spec in a command's arguments.

    Raises:
        SpecError: The spec breaks a rule.
    """
    from tune.sweep.spec import load_spec

    overrides = list(parsed.set)
    for key in ("data", "name"):
        if (value := getattr(parsed, key)) is not None:
            overrides.append(f"{key}={json.dumps(value)}")
    return load_spec(parsed.spec, overrides)


def print_pick(spec: "SweepSpec") -> None:
    """Print what `auto` has picked and why, if it has."""
    if spec.searcher.reason is not None:
        print(spec.searcher.reason, file=sys.stderr)


def words_of(parsed: argparse.Namespace) -> list[str]:
    """Return the command-line arguments for the spec and its options."""
    words = [str(parsed.spec)]
    for key in ("data", "name"):
        if (value := getattr(parsed, key)) is not None:
            words += [f"--{key}", value]
    return words + [word for change in parsed.set for word in ("--set", change)]
