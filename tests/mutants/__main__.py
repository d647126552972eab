"""Plants each mutant in a copy of the repository and runs the tests of its part.

A mutant that no test notices is a gap in the tests: write the missing test, or give the reason in
the mutant's ``survives``. Exit code 1 if a mutant survives without a reason.

Example:
    python -m tests.mutants models tune --jobs 2
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from tests.mutants.catalogue import PARTS, ROOT, Mutant, read_mutants
from tests.support.repository import copy_repository

CACHE = ROOT / ".mutants_cache" / "noticed_by.json"
"""Identifier of a mutant → the test that noticed it last, which is run first the next time."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the tests made of one mutant."""

    mutant: Mutant
    noticed_by: str | None
    """The test that failed, or None if all passed."""
    seconds: float


class Campaign:
    """Runs the tests against mutants, several at a time."""

    def __init__(self, folder: Path, *, limit: float) -> None:
        """Copy the repository to ``folder``; a test run may take ``limit`` seconds."""
        self._folder, self._limit = folder, limit
        self._clean = copy_repository(folder / "clean")
        self._sound: dict[str, bool] = {}
        self._lock = Lock()
        self._known = json.loads(CACHE.read_text("utf-8")) if CACHE.is_file() else {}

    def try_one(self, mutant: Mutant) -> Outcome:
        """Run the tests of the mutant's part until one notices it."""
        started = time.perf_counter()
        root = copy_repository(self._folder / mutant.identifier)
        (root / mutant.file).write_text(mutant.source(root), "utf-8")
        try:
            noticed_by = self._first_failure(root, mutant)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        return Outcome(mutant=mutant, noticed_by=noticed_by, seconds=time.perf_counter() - started)

    def _first_failure(self, root: Path, mutant: Mutant) -> str | None:
        known = self._known.get(mutant.identifier)
        for targets in ([known] if known else [], _test_files(root, mutant)):
            if targets and (test := _run_tests(root, targets, self._limit)):
                if self._passes_without_mutants(test):
                    self._remember(mutant, test)
                    return test
                print(f"{test} fails without any mutant too; mend it first", flush=True)
        return None

    def _passes_without_mutants(self, test: str) -> bool:
        if test not in self._sound:
            self._sound[test] = _run_tests(self._clean, [test], self._limit) is None
        return self._sound[test]

    def _remember(self, mutant: Mutant, test: str) -> None:
        with self._lock:
            self._known[mutant.identifier] = test
            CACHE.parent.mkdir(exist_ok=True)
            CACHE.write_text(json.dumps(self._known, indent=1, sort_keys=True), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant the mutants of the parts that are named and print what the tests noticed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--only", metavar="TEXT", help="mutants whose file or mistake has TEXT")
    parser.add_argument("--jobs", type=int, default=1, help="test runs at a time (default 1)")
    parser.add_argument(
        "--limit", type=float, default=900, help="seconds after which a hanging run is noticed"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"PART must be one of {', '.join(PARTS)}, but got {', '.join(unknown)}")
    mutants = [
        mutant
        for part in options.parts or PARTS
        for mutant in read_mutants(part)
        if options.only is None or options.only in f"{mutant.file} {mutant.mistake}"
    ]
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        campaign = Campaign(Path(folder), limit=options.limit)
        outcomes = []
        for outcome in pool.map(campaign.try_one, mutants):
            outcomes.append(outcome)
            print(_line(outcome), flush=True)
    return _summary(outcomes)


def _line(outcome: Outcome) -> str:
    mutant = outcome.mutant
    what = f"noticed by {outcome.noticed_by}" if outcome.noticed_by else "SURVIVES"
    return f"{outcome.seconds:5.0f} s  {mutant.file}: {mutant.mistake}  {what}"


def _summary(outcomes: Sequence[Outcome]) -> int:
    """Print counts by part; return 1 if a mutant survives without a reason."""
    for part in dict.fromkeys(outcome.mutant.part for outcome in outcomes):
        of_part = [outcome for outcome in outcomes if outcome.mutant.part == part]
        noticed = sum(outcome.noticed_by is not None for outcome in of_part)
        print(f"{part}: {noticed} of {len(of_part)} noticed")
    noticed = sum(outcome.noticed_by is not None for outcome in outcomes)
    print(f"{noticed} of {len(outcomes)} noticed ({noticed / max(len(outcomes), 1):.1%})")
    return int(any(o.noticed_by is None and not o.mutant.survives for o in outcomes))


def _test_files(root: Path, mutant: Mutant) -> list[str]:
    """Return the part's test files, the likeliest to notice first."""
    module = mutant.file.removesuffix(".py").replace("/", ".")
    mirrors = f"{mutant.part}_{module.rpartition('.')[2]}"

    def rank(path: Path) -> tuple[int, str]:
        name = path.stem.removeprefix("test_")
        if name.startswith(mirrors) or mirrors.startswith(name):
            return 0, name
        return (1 if module in path.read_text("utf-8") else 2), name

    paths = sorted((root / "tests").glob(f"test_{mutant.part}_*.py"), key=rank)
    return [str(path.relative_to(root)) for path in paths]


def _run_tests(root: Path, targets: Sequence[str], limit: float) -> str | None:
    """Return the first test that fails, or None if all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *targets]
    # Programs that tests start elsewhere must import the copy too, not the installed project.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(root)}
    environment.setdefault("FER_DATA", str((ROOT / "../shared/data").resolve()))
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return targets[0]
    if done.returncode in (0, 5):
        return None
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" ", 1)[1].split(" - ")[0]
    return targets[0]


if __name__ == "__main__":
    sys.exit(main())
