"""Options that several commands share: those that name a sweep."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tune.spec import SweepSpec


def add_spec(command: argparse.ArgumentParser) -> None:
    """Let a command take a spec, and changes of it."""
    command.add_argument("spec", type=Path, metavar="SPEC.yaml", help="the sweep spec")
    command.add_argument("--data", metavar="DIR", help="dataset, instead of spec's; or its URL")
    command.add_argument("--name", help="name of the run, instead of the spec's")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one spec value"
    )


def spec_of(parsed: argparse.Namespace) -> "SweepSpec":
    """Load the spec that a command was given.

    Raises:
        SpecError: It breaks a rule.
    """
    from tune.spec import load_spec

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
