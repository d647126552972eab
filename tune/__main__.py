"""The commands of `python -m tune`: parse, call, print."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairsweep.command_line import INTERRUPTED, NOTHING_SUCCEEDED, run_command
from tune.launch.commands import add_places
from tune.options import add_spec, spec_of

Handler = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    handler: Handler = parsed.handler
    return run_command("tune", lambda: handler(parsed))


def _plan(parsed: argparse.Namespace) -> int:
    from tune.plan import plan_sweep
    from tune.print import print_plan
    from tune.store import read_manifest

    spec = spec_of(parsed)
    manifest = read_manifest(spec.data)
    print_plan(plan_sweep(spec, manifest, cores=os.cpu_count() or 1), spec, manifest)
    return 0


def _run(parsed: argparse.Namespace) -> int:
    from tune.run_directory import RUNS
    from tune.session import start

    run, sweep = start(spec_of(parsed), RUNS)
    return _close(run, sweep)


def _resume(parsed: argparse.Namespace) -> int:
    from tune.session import resume

    return _close(parsed.run, resume(parsed.run, data=parsed.data))


def _extend(parsed: argparse.Namespace) -> int:
    from tune.session import extend

    sweep = extend(parsed.run, samples=parsed.samples, overrides=parsed.set, data=parsed.data)
    return _close(parsed.run, sweep)


def _close(run: Path, sweep: Any) -> int:
    """Print the last line of a sitting and return its exit code."""
    from tune.print import last_line
    from tune.schema import Status

    print(last_line(run, sweep))
    if not sweep.finished:
        return INTERRUPTED
    completed = any(trial.status is Status.COMPLETED for trial in sweep.trials.values())
    return 0 if completed else NOTHING_SUCCEEDED


def _kfold(parsed: argparse.Namespace) -> int:
    from tune.kfold import kfold, summary
    from tune.run_directory import RUNS

    run, sweep = kfold(
        parsed.what,
        RUNS,
        folds=parsed.folds,
        repeats=parsed.repeats,
        trial_id=parsed.trial,
        name=parsed.name,
        data=parsed.data,
        overrides=parsed.set,
    )
    code = _close(run, sweep)
    if code == 0:
        print(summary(run, sweep))
    return code


def _retrain(parsed: argparse.Namespace) -> int:
    from tune.retrain import Request, comparison, retrain
    from tune.run_directory import RUNS

    asked = {
        "oversample": ",".join(parsed.oversample),
        "sample_weights": ",".join(parsed.weights),
        "balance": ",".join(parsed.balance),
    }
    request = Request(
        run=parsed.run,
        sampling={name: text for name, text in asked.items() if text},
        trial_id=parsed.trial,
        from_scratch=parsed.from_scratch,
        epochs=parsed.epochs,
        groups=parsed.groups,
        name=parsed.name,
        data=parsed.data,
        overrides=tuple(parsed.set),
    )
    run, sweep = retrain(request, RUNS)
    code = _close(run, sweep)
    if code == 0:
        for line in comparison(run, sweep):
            print(line)
    return code


def _test(parsed: argparse.Namespace) -> int:
    from tune.opening import open_test

    print(open_test(parsed.run, trial_id=parsed.trial, data=parsed.data))
    return 0


def _status(parsed: argparse.Namespace) -> int:
    from tune.print import print_status, watch_status
    from tune.status import run_status

    if parsed.watch:
        watch_status(parsed.run)
    elif parsed.json:
        print(json.dumps(run_status(parsed.run)))
    else:
        print_status(parsed.run)
    return 0


def _list(_parsed: argparse.Namespace) -> int:
    from tune.print import print_runs
    from tune.run_directory import RUNS
    from tune.status import list_runs

    print_runs(list_runs(RUNS))
    return 0


def _stop(parsed: argparse.Namespace) -> int:
    from tune.status import request_stop

    request_stop(parsed.run, parsed.trial)
    what = parsed.run if parsed.trial is None else f"trial {parsed.trial} of {parsed.run}"
    print(f"{what} will stop at the end of the epoch that is being trained")
    return 0


def _copy(parsed: argparse.Namespace) -> int:
    from tune.copying import copy_run

    print(f"{copy_run(parsed.run, parsed.url)} files of {parsed.run} copied to {parsed.url}")
    return 0


def _launch(parsed: argparse.Namespace) -> int:
    code: int = parsed.launch(parsed)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tune", description="Search hyperparameters of image classifiers."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, handler: Handler, words: str, example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=words, description=words, epilog=f"example: python -m tune {example}"
        )
        command.set_defaults(handler=handler)
        return command

    quick = "tune/specs/quick.yaml"
    for name, handler, words in (
        ("plan", _plan, "Show what a sweep would take; train nothing."),
        ("run", _run, "Run a sweep."),
    ):
        command = add(
            name, handler, words, f"{name} {quick} --data data/faces --set fixed.epochs=3"
        )
        add_spec(command)
    command = add("resume", _resume, "Go on with a stopped or killed run.", "resume runs/quick")
    _add_run(command)
    command.add_argument("--data", metavar="DIR", help="where the dataset is now")
    command = add(
        "extend", _extend, "Let a run grow; all trained counts.", "extend runs/quick --samples 8"
    )
    _add_run(command)
    command.add_argument("--samples", type=int, default=0, metavar="N", help="N more proposals")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one spec value"
    )
    command.add_argument("--data", metavar="DIR", help="where the dataset is now")
    command = add("status", _status, "Show how a run stands.", "status runs/quick --watch")
    _add_run(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--watch", action="store_true", help="show it anew every second")
    command = add("test", _test, "Measure the incumbent on the test split.", "test runs/quick")
    _add_run(command)
    command.add_argument("--trial", metavar="ID", help="another trial than the incumbent")
    command.add_argument("--data", metavar="DIR", help="where the dataset is now")
    command = add(
        "kfold",
        _kfold,
        "Train the incumbent, or a spec's grid, on every fold of train and val.",
        "kfold runs/quick --folds 5 --repeats 2",
    )
    command.add_argument(
        "what", type=Path, metavar="RUN|SPEC.yaml", help="a run directory, or a sweep spec"
    )
    command.add_argument("--folds", type=int, default=10, metavar="K", help="how many (10)")
    command.add_argument(
        "--repeats", type=int, default=1, metavar="R", help="deal the pictures R times (1)"
    )
    _add_further(command)
    command = add(
        "retrain",
        _retrain,
        "Train the incumbent once more, with groups of pictures that count for more.",
        "retrain runs/quick --oversample age=child:4 --groups annotations.csv",
    )
    _add_run(command)
    _add_sampling(command)
    _add_further(command)
    add("list", _list, "Show how every run below runs/ stands.", "list")
    command = add("stop", _stop, "Ask a running sweep to checkpoint and stop.", "stop runs/quick")
    _add_run(command)
    command.add_argument("--trial", metavar="ID", help="end this one trial early instead")
    command = add(
        "copy", _copy, "Copy a run, also one that runs.", "copy runs/quick s3://bucket/runs/quick"
    )
    _add_run(command)
    command.add_argument("url", metavar="URL", help="s3://…, gs://… or a folder")
    add_places(
        add(
            "launch",
            _launch,
            "Write what runs a sweep on a cluster.",
            f"launch slurm {quick} --nodes 4 --time 4:00:00 --submit",
        )
    )
    return parser


def _add_sampling(command: argparse.ArgumentParser) -> None:
    for name, example, words in (
        ("oversample", "COLUMN=VALUE:N", "show the group's training pictures N times an epoch"),
        (
            "weights",
            "COLUMN=VALUE:W",
            "let the group's training pictures count W times in the loss",
        ),
        ("balance", "COLUMN", "give the column's groups equal shares of every batch"),
    ):
        command.add_argument(f"--{name}", action="append", default=[], metavar=example, help=words)
    command.add_argument(
        "--groups", type=Path, metavar="CSV", help="image_id and columns that the dataset lacks"
    )
    command.add_argument(
        "--from-scratch", action="store_true", help="start from nothing, not from its weights"
    )
    command.add_argument("--epochs", type=int, metavar="N", help="N epochs, not as many as it had")


def _add_further(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that make a run from another one."""
    command.add_argument("--trial", metavar="ID", help="another trial than the incumbent")
    command.add_argument("--name", help="name of the new run")
    command.add_argument("--data", metavar="DIR", help="where the dataset is now")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one spec value"
    )


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=Path, metavar="RUN", help="a run directory")


if __name__ == "__main__":
    sys.exit(main())
