"""`tune keys`: explain the keys of a spec and the hyperparameters."""

import argparse
import json
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.sweep.reference import Key, find_keys, hyperparameters, spec_keys, spec_schema

EXAMPLE = "learning_rate"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the name of a key."""
    command.add_argument(
        "name", nargs="?", help="a key or hyperparameter; default: all of them in two tables"
    )
    command.add_argument(
        "--json", action="store_true", help="print the JSON schema of a spec, for editors"
    )


def run(parsed: argparse.Namespace) -> int:
    """Print the reference and return 0."""
    if parsed.json:
        print(json.dumps(spec_schema(), indent=2))
    elif parsed.name is None:
        print_keys("Keys of a spec", spec_keys().values())
        print_keys("Hyperparameters, under fixed: or space:", hyperparameters().values())
    else:
        for key in find_keys(parsed.name):
            print_key(key)
    return 0


def print_keys(title: str, keys: Iterable[Key]) -> None:
    """Print a table with a row for each key."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("key", "values", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        table.add_row(*map(Text, (key.name, key.allowed, key.default, key.meaning)))
    Console().print(table)


def print_key(key: Key) -> None:
    """Print all that is known of one key."""
    lines = {
        "": key.meaning,
        "values: ": key.allowed,
        "default: ": key.default,
        "used by: ": ", ".join(key.families),
    }
    said = [f"  {label}{text}" for label, text in lines.items() if text]
    example = [f"    {line}" for line in key.example.splitlines()]
    Console(highlight=False).print(Text("\n".join([key.name, *said, "  example:", *example])))
