"""The command `python -m benchmarks`: runs one benchmark, prints it and keeps its figures."""

import argparse
import json
import sys
from importlib import import_module

NAMES = ("cluster", "data_prep", "overhead", "resume", "train")


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmark; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this system beside what a user would pick instead, in one go.",
        epilog="example: python -m benchmarks overhead --json",
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    parsed = parser.parse_args(arguments)
    for result in import_module(f"benchmarks.{parsed.name}").run():
        result.print()
        path = result.keep()
        print(json.dumps(result.to_dict()) if parsed.json else f"kept in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
