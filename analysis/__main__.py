"""Command line of analysis: tables and reports of finished sweeps."""

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

FORMATS = ("md", "csv", "latex", "json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    from analysis.run_data import NoTrialSucceededError  # heavy: not for --help

    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
        sys.stdout.flush()
    except NoTrialSucceededError as error:
        return _fail(str(error), 3)
    except (ValueError, FileNotFoundError, PermissionError) as error:
        return _fail(str(error), 2)
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _fail(f"a fault of this program ({error!r}); traceback in {_log()}", 1)
    return 0


def table(options: argparse.Namespace) -> None:
    """Print one table of a run."""
    from analysis.run_data import read_run
    from analysis.tables.by import by_hyperparameter
    from analysis.tables.models import models
    from analysis.tables.render import FORMATS as WRITERS

    run = read_run(options.run)
    made = by_hyperparameter(run, options.by) if options.by else models(run)
    print(WRITERS[options.format](made), end="")


def report(options: argparse.Namespace) -> None:
    """Write the report of each run and say where it is."""
    from rich.console import Console

    from analysis.report import write_report
    from analysis.run_data import read_run
    from tune.schema import REPORT_DIR

    console = Console(stderr=True)
    for path in options.runs:
        run = read_run(path)
        out = options.out or run.path / REPORT_DIR
        with console.status(f"report of {run.name}") as status:
            several = options.out and len(options.runs) > 1
            written = write_report(run, out / run.name if several else out, status.update)
        print(f"wrote {written.page} ({written.tables} tables, {written.figures} figures)")
        if written.left_out:
            print(f"left out the dataset's figures: {written.left_out}")


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
    made.set_defaults(command=report)
    made = commands.add_parser(
        "table",
        help="print all models, or accuracy by a hyperparameter",
        epilog="example: python -m analysis table runs/quick --by kernel_size --format csv",
    )
    made.add_argument("run", metavar="RUN", type=Path, help="run directory")
    made.add_argument("--by", metavar="HYPERPARAMETER", help="mean, best and count by its values")
    made.add_argument("--format", choices=FORMATS, default="md", help="default md (Markdown)")
    made.set_defaults(command=table)
    return parser


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def _log() -> str:
    """Write the traceback of the fault at hand to a file and return its path."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="analysis-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    return file.name


if __name__ == "__main__":
    sys.exit(main())
