"""The command `python -m benchmarks`: runs one benchmark, prints and saves the result."""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import Result
from benchmarks.rounds import together
from data_prep.manifest import DatasetManifest
from fairsweep.errors import UserError

NAMES = (
    "cluster",
    "data_prep",
    "fused",
    "gpu",
    "gpu_bundle",
    "large_pictures",
    "many_trials",
    "near_duplicates",
    "overhead",
    "own",
    "real_search",
    "report",
    "resume",
    "scale",
    "search",
    "statistics",
    "sweep",
    "train",
    "week",
)
ON_PICTURES = ("fused", "gpu", "gpu_bundle", "real_search", "sweep", "train")
GPU, BUNDLE = "gpu", "gpu_bundle"
MANY = "many_trials"
SIMULATED = "statistics"
WEEK = "week"
SEARCH, REAL_SEARCH = "search", "real_search"
COUNTED = "large_pictures"
TAKEN_BY = {
    "data": ON_PICTURES,
    "sweeps": (SIMULATED,),
    "kinds": (SIMULATED,),
    "counts": (COUNTED,),
    "trials": (MANY,),
    "slots": (WEEK,),
    "seeds": (SEARCH, REAL_SEARCH),
    **dict.fromkeys(("lcbench", "tasks", "workers", "methods", "known"), (SEARCH,)),
    **dict.fromkeys(("minutes", "device", "checks"), (GPU,)),
    **dict.fromkeys(("cifar", "out"), (GPU, BUNDLE)),
    "have": (BUNDLE,),
}
"""Option → the benchmarks that take it; all take the others."""
LEAST = {
    "rounds": 1, "sweeps": 1, "counts": 2000, "trials": 1, "slots": 1, "seeds": 1, "workers": 1,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmark; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this system and its alternatives one after the other.",
        epilog="example: python -m benchmarks overhead --json",
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "--json", action="store_true", help="print the result as a JSON object in the last line"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help=f"a prepared dataset for {', '.join(ON_PICTURES)} (default: synthetic pictures)",
    )
    parser.add_argument(
        "--sweeps", type=int, metavar="N", help=f"simulated sweeps of each kind, for {SIMULATED}"
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        metavar="TEXT",
        help=f"only kinds of sweeps whose name contains one of these, for {SIMULATED}",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="run everything N times, for intervals of the ratios (default: 1)",
    )
    parser.add_argument(
        "--slots", type=int, metavar="N", help=f"slots of four hours, for {WEEK} (default: 42)"
    )
    _add_gpu(parser)
    parser.add_argument(
        "--trials", type=_numbers, metavar="N,M", help=f"numbers of trials, for {MANY}"
    )
    searches = parser.add_argument_group(f"for {SEARCH}")
    searches.add_argument(
        "--lcbench", type=Path, metavar="FILE", help="LCBench's surrogate, an ONNX file"
    )
    searches.add_argument(
        "--tasks",
        type=_names,
        metavar="A,B",
        help="tasks that its JSON file names",
    )
    searches.add_argument(
        "--seeds", type=int, metavar="N", help=f"searches of each kind, also for {REAL_SEARCH}"
    )
    searches.add_argument(
        "--workers", type=_numbers, metavar="N,M", help="numbers of workers (default: 1,4,16)"
    )
    searches.add_argument("--methods", type=_names, metavar="A,B", help="methods (default: all)")
    searches.add_argument(
        "--known", type=Path, metavar="FILE", help="keeps searches, which are not repeated"
    )
    parser.add_argument(
        "--counts",
        type=int,
        nargs="+",
        metavar="N",
        help=f"numbers of pictures, for {COUNTED} (default: 10000 50000 100000)",
    )
    parsed = parser.parse_args(arguments)
    if (complaint := _complaint(parsed)) is not None:
        parser.error(complaint)
    try:
        for data in filter(None, (parsed.data, parsed.cifar)):
            DatasetManifest.read(data)
    except FileNotFoundError as error:
        parser.error(str(error))
    rounds = parsed.rounds or 1
    options = {
        key: value
        for key, value in vars(parsed).items()
        if key not in ("name", "json", "rounds") and value is not None and value is not False
    }
    try:
        for result in _results(import_module(f"benchmarks.{parsed.name}").run, options, rounds):
            result.print()
            path = result.keep()
            print(json.dumps(result.to_dict()) if parsed.json else f"kept in {path}")
    except UserError as error:
        parser.error(str(error))
    return 0


def _results(
    run: Callable[..., Iterator[Result]], options: Mapping[str, Any], rounds: int
) -> Iterator[Result]:
    """Yield the results of a benchmark; in later rounds, those of all rounds until then."""
    rounds_of: dict[str, list[Result]] = defaultdict(list)
    for _ in range(rounds):
        for result in run(**options):
            rounds_of[result.name].append(result)
            yield together(rounds_of[result.name])


def _complaint(parsed: argparse.Namespace) -> str | None:
    """Return what is wrong with options of one benchmark; None if nothing is."""
    for option, names in TAKEN_BY.items():
        if getattr(parsed, option) not in (None, False) and parsed.name not in names:
            return f"{parsed.name} takes no --{option}; leave it out"
    for option, least in LEAST.items():
        given = getattr(parsed, option)
        numbers = given if isinstance(given, list) else [least if given is None else given]
        if min(numbers) < least:
            return f"--{option} must be at least {least}, but got {min(numbers)}"
    if parsed.name in (GPU, BUNDLE) and parsed.out is None:
        return f"{parsed.name} writes files; say where with --out DIR"
    if parsed.minutes is not None and not parsed.minutes > 0:
        return f"--minutes must be above 0, but got {parsed.minutes:g}"
    return None


def _add_gpu(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(f"for {GPU} and {BUNDLE}")
    group.add_argument("--out", type=Path, metavar="DIR", help="folder of what is written")
    group.add_argument(
        "--cifar", type=Path, metavar="DATA", help="CIFAR-10 as a prepared dataset in colour"
    )
    group.add_argument("--minutes", type=float, metavar="N", help=f"limit of {GPU} (default: 9)")
    group.add_argument("--device", choices=("cuda", "cpu"), help=f"of {GPU} (default: cuda)")
    group.add_argument("--checks", action="store_true", help=f"only the checks of {GPU}")
    group.add_argument(
        "--have", type=Path, metavar="FILE", help="what `pip freeze` prints on the other machine"
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(name) for name in _names(text)]


if __name__ == "__main__":
    sys.exit(main())
