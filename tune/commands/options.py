"""Options that several commands share."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Importing it takes half a second, for which no parser need wait.
    from tune.sweep.spec import SweepSpec

QUICK = "tune/specs/quick.yaml"
"""The spec that examples name."""


def add_spec(command: argparse.ArgumentParser) -> None:
    """Let a command take a spec, and changes of it."""
    command.add_argument("spec", type=Path, metavar="SPEC.yaml", help="the sweep spec")
    command.add_argument("--data", metavar="DIR", help="dataset, instead of spec's; or its URL")
    command.add_argument("--name", help="name of the run, instead of the spec's")
    add_set(command)


def add_run(command: argparse.ArgumentParser) -> None:
    """Let a command take a run directory."""
    command.add_argument("run", type=Path, metavar="RUN", help="a run directory")


def add_data(command: argparse.ArgumentParser) -> None:
    """Let a command find a dataset that was moved."""
    command.add_argument("--data", metavar="DIR", help="where the dataset is now")


def add_trial(command: argparse.ArgumentParser) -> None:
    """Let a command take another trial than the incumbent."""
    command.add_argument(
        "--trial", metavar="TRIAL", help="another trial than the incumbent: its id, number or name"
    )


def add_set(command: argparse.ArgumentParser) -> None:
    """Let a command change values of a spec."""
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one spec value"
    )


def add_derived(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that make a run from another one."""
    add_trial(command)
    command.add_argument("--name", help="name of the new run")
    add_data(command)
    add_set(command)


def spec_of(parsed: argparse.Namespace) -> "SweepSpec":
    """Load the spec that a command was given.

    Raises:
        SpecError: It breaks a rule.
    """
    from tune.sweep.spec import load_spec

    overrides = list(parsed.set)
    for key in ("data", "name"):
        if (value := getattr(parsed, key)) is not None:
            overrides.append(f"{key}={json.dumps(value)}")
    return load_spec(parsed.spec, overrides)


def words_of(parsed: argparse.Namespace) -> list[str]:
    """Return the spec and its options as they were given."""
    words = [str(parsed.spec)]
    for key in ("data", "name"):
        if (value := getattr(parsed, key)) is not None:
            words += [f"--{key}", value]
    return words + [word for one in parsed.set for word in ("--set", one)]
