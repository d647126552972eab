"""Command line of analysis: tables, reports and comparisons of finished sweeps."""

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from analysis.imports.command import add_import
from analysis.published.command import add_published
from fairsweep.command_line import run_command
from fairsweep.errors import UserError

FORMATS = ("md", "csv", "latex", "json")
WHAT = (
    "models",
    "best",
    "comparisons",
    "selection",
    "ensemble",
    "effects",
    "levels",
    "importance",
    "latency",
    "folds",
    "classes",
    "confusions",
    "probabilities",
    "suspects",
)
"""Values of `table --what`; listed here because importing the tables is slow."""
BY_GROUP = ("groups", "groups_before", "change", "differences", "crossed", "classes")
"""Values of `bias --what`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)

    def command() -> int:
        options.command(options)
        return 0

    return run_command("analysis", command)


def table(options: argparse.Namespace) -> None:
    """Print one table of a run."""
    from analysis.rendering.render import FORMATS as WRITERS
    from analysis.report.tables import NAMED, by
    from analysis.run.run_data import read_run

    run = read_run(options.run, options.data, options.margin)
    made = by(run, options.by) if options.by else NAMED[options.what](run)
    print(WRITERS[options.format](made), end="")


def report(options: argparse.Namespace) -> None:
    """Write the report of each run and print its path."""
    from rich.console import Console

    from analysis.report.report import write_report
    from analysis.run.run_data import read_run
    from tune.run.directory import REPORT_DIR

    console = Console(stderr=True)
    several = options.out and len(options.runs) > 1
    name, count = Counter(path.resolve().name for path in options.runs).most_common(1)[0]
    if several and count > 1:
        raise UserError(
            f"two of the runs are named {name!r}, so one report would replace the other in "
            f"{options.out}; report each with its own --out"
        )
    for path in options.runs:
        run = read_run(path, options.data, options.margin)
        out = options.out or run.path / REPORT_DIR
        with console.status(f"report of {run.name}") as status:
            written = write_report(run, out / run.name if several else out, status.update)
        print(f"wrote {written.page} ({written.tables} tables, {written.figures} figures)")
        if written.left_out:
            print(f"left out the dataset's figures: {written.left_out}")


def compare(options: argparse.Namespace) -> None:
    """Compare two or more runs: print the result and write a page."""
    from analysis.rendering.render import FORMATS as WRITERS
    from analysis.run.run_data import read_run
    from analysis.runs.compare import compare_runs
    from analysis.runs.many import compare_many
    from analysis.runs.page import write_comparison

    paths = [options.first, *options.others]
    runs = [read_run(path, options.data, options.margin) for path in paths]
    place = options.out or options.first / "compare" / "-".join(run.name for run in runs[1:])
    compared = compare_many(runs) if len(runs) > 2 else compare_runs(runs[0], runs[1])
    sentences = (*compared.found, *compared.unknown)
    if not options.format:
        print("\n".join(sentences))
        print(f"wrote {write_comparison(compared, place)}")
    elif compared.best is None:
        raise UserError(sentences[-1])
    else:
        print(WRITERS[options.format](compared.best), end="")


def bias(options: argparse.Namespace) -> None:
    """Print the scores of a trial by group of pictures, or write all results to a directory."""
    from analysis.groups.bias import study_bias, write_bias
    from analysis.rendering.render import FORMATS as WRITERS
    from analysis.run.run_data import read_run

    found = study_bias(
        read_run(options.run, options.data),
        trial_id=options.trial,
        file=options.groups,
        before=options.before,
        split=options.split,
    )
    if options.out is not None:
        print(f"wrote {write_bias(found, options.out)}")
        return
    tables = {table.name.removeprefix("bias_"): table for table in found.tables}
    what = options.what or ("groups" if options.format in ("csv", "json") else None)
    if what is not None and what not in tables:
        raise UserError(f"--what can be {', '.join(tables)} here, but got {what}")
    shown = tables.values() if what is None else [tables[what]]
    print("\n".join(WRITERS[options.format](table) for table in shown), end="")


def export(options: argparse.Namespace) -> None:
    """Export a run as an Optuna study and print the command that opens it."""
    from rich.console import Console

    from analysis.export import export as write_study
    from analysis.run.run_data import read_run

    out = options.out or options.run / "study.db"
    with Console(stderr=True).status(f"study of {options.run.name}"):
        count = write_study(read_run(options.run), out)
    storage = shlex.quote(f"sqlite:///{out}")
    print(f"wrote {out} ({count:,} trials); open it with: optuna-dashboard {storage}")


def card(options: argparse.Namespace) -> None:
    """Print the model card of a run's incumbent, or write it into a file."""
    from analysis.report.card import model_card, write_card
    from analysis.run.run_data import read_run

    run = read_run(options.run, options.data)
    if options.out is None:
        print(model_card(run), end="")
    else:
        write_card(run, options.out)
        print(f"wrote {options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Tables and a report of a sweep, from its run directory alone.",
        epilog="example: python -m analysis table runs/quick --by kernel_size",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    made = commands.add_parser(
        "report",
        help="write report.html, tables/ and figures/",
        epilog="example: python -m analysis report runs/quick",
    )
    made.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run directory")
    made.add_argument("--out", type=Path, metavar="DIR", help="where to write (default RUN/report)")
    made.add_argument("--data", type=Path, metavar="DIR", help="where the dataset is now")
    _add_margin(made)
    made.set_defaults(command=report)
    made = commands.add_parser(
        "table",
        help="print a table: all models, comparisons, effects, or accuracy by a hyperparameter",
        epilog="example: python -m analysis table runs/quick --what comparisons --format csv",
    )
    made.add_argument("run", metavar="RUN", type=Path, help="run directory")
    which = made.add_mutually_exclusive_group()
    which.add_argument(
        "--what", choices=WHAT, default="models", help="which table (default models)"
    )
    which.add_argument(
        "--by", metavar="HYPERPARAMETER", help="mean, best and count for each of its values"
    )
    made.add_argument("--format", choices=FORMATS, default="md", help="default md (Markdown)")
    made.add_argument("--data", type=Path, metavar="DIR", help="where the dataset is now")
    _add_margin(made)
    made.set_defaults(command=table)
    made = commands.add_parser(
        "card",
        help="the model card of the incumbent: data, results, how it was chosen, limits",
        epilog="example: python -m analysis card runs/quick --out winner/README.md",
    )
    made.add_argument("run", metavar="RUN", type=Path, help="run directory")
    made.add_argument("--out", type=Path, metavar="FILE", help="write a file; default: print")
    made.add_argument("--data", type=Path, metavar="DIR", help="where the dataset is now")
    made.set_defaults(command=card)
    made = commands.add_parser(
        "compare",
        help="compare two or more runs on the same dataset",
        epilog="example: python -m analysis compare runs/grid runs/search",
    )
    made.add_argument("first", metavar="RUN_A", type=Path, help="run directory")
    made.add_argument(
        "others", metavar="RUN", type=Path, nargs="+", help="other runs on the same dataset"
    )
    made.add_argument(
        "--out", type=Path, metavar="DIR", help="default RUN_A/compare/NAMES_OF_THE_OTHERS"
    )
    made.add_argument("--format", choices=FORMATS, help="only print the table, in this format")
    made.add_argument("--data", type=Path, metavar="DIR", help="where the dataset is now")
    _add_margin(made)
    made.set_defaults(command=compare)
    made = commands.add_parser(
        "bias",
        help="accuracy by group of pictures, also before and after a retraining",
        epilog="example: python -m analysis bias runs/quick --groups groups.csv",
    )
    made.add_argument("run", metavar="RUN", type=Path, help="run directory")
    made.add_argument("--trial", metavar="ID", help="this trial instead of the incumbent")
    made.add_argument(
        "--groups", type=Path, metavar="CSV", help="CSV with image_id and group columns"
    )
    made.add_argument(
        "--before", type=Path, metavar="RUN", help="compare with the incumbent of this run"
    )
    made.add_argument("--split", choices=("val", "test"), default="val", help="default val")
    made.add_argument("--data", type=Path, metavar="DIR", help="where the dataset is now")
    made.add_argument(
        "--what", choices=BY_GROUP, help="which table (default all; in csv and json groups)"
    )
    made.add_argument("--format", choices=FORMATS, default="md", help="default md (Markdown)")
    made.add_argument("--out", type=Path, metavar="DIR", help="write page, tables and figure here")
    made.set_defaults(command=bias)
    made = commands.add_parser(
        "export",
        help="export a run as an Optuna study, for optuna-dashboard",
        epilog="example: python -m analysis export runs/quick --out study.db",
    )
    made.add_argument("run", metavar="RUN", type=Path, help="run directory")
    made.add_argument("--out", type=Path, metavar="FILE", help="default RUN/study.db")
    made.set_defaults(command=export)
    add_published(commands, FORMATS)
    add_import(commands)
    return parser


def _add_margin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--margin",
        type=float,
        metavar="DIFFERENCE",
        help="values that differ by less count as equivalent (default 0.01, one point, for shares "
        "such as an accuracy; none for other metrics)",
    )


if __name__ == "__main__":
    sys.exit(main())
