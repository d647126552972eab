"""Options of the command `python -m analysis published`, without anything slow to import."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = (
    "example: python -m analysis published tests/fixtures/study_a_table_2_2.csv --pictures 2225 "
    "--claim kernel=5:3 --claim blocks=8:4 --claim channels=32:16"
)


def add_published(commands: Any, formats: tuple[str, ...]) -> None:
    """Add the command, which can print its table in one of ``formats``."""
    command = commands.add_parser(
        "published",
        help="test the claims of a published table of accuracies",
        description="Judge the claims of a published grid of single trainings by its accuracies.",
        epilog=EXAMPLE,
    )
    add_options(command, formats)
    command.set_defaults(command=print_published)


def add_options(parser: argparse.ArgumentParser, formats: tuple[str, ...]) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "csv",
        type=Path,
        metavar="CSV",
        help="a row per model: name, accuracy (0 to 1), and a column for each hyperparameter",
    )
    parser.add_argument("--pictures", type=int, required=True, help="size of the test set")
    parser.add_argument(
        "--claim",
        action="append",
        required=True,
        metavar="COLUMN=BETTER:WORSE",
        help="such as kernel=5:3; repeat it, so that every hyperparameter that varies has a claim",
    )
    parser.add_argument("--format", choices=formats, default="md", help="default md (Markdown)")


def print_published(options: argparse.Namespace) -> None:
    """Print which of the claims the table supports."""
    from analysis.published.table import published
    from analysis.rendering.render import FORMATS

    table = published(options.csv, options.pictures, options.claim)
    print(FORMATS[options.format](table), end="")
