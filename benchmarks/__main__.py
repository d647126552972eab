"""The command `python -m benchmarks`: runs one benchmark, prints and saves the result."""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

from data_prep.manifest import DatasetManifest

NAMES = (
    "cluster",
    "data_prep",
    "fused",
    "near_duplicates",
    "overhead",
    "own",
    "report",
    "resume",
    "scale",
    "statistics",
    "sweep",
    "train",
)
ON_PICTURES = ("fused", "sweep", "train")
SIMULATED = "statistics"


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
    parsed = parser.parse_args(arguments)
    if parsed.sweeps is not None and (parsed.name != SIMULATED or parsed.sweeps < 1):
        parser.error(f"--sweeps takes a number above 0, and only for {SIMULATED}")
    if parsed.data is not None and parsed.name not in ON_PICTURES:
        parser.error(f"{parsed.name} takes no --data; leave it out")
    if parsed.data is not None:
        try:
            DatasetManifest.read(parsed.data)
        except FileNotFoundError as error:
            parser.error(str(error))
    options = {"data": parsed.data, "sweeps": parsed.sweeps}
    options = {key: value for key, value in options.items() if value is not None}
    for result in import_module(f"benchmarks.{parsed.name}").run(**options):
        result.print()
        path = result.keep()
        print(json.dumps(result.to_dict()) if parsed.json else f"kept in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
