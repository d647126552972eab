"""Several rounds of a benchmark as one result, with intervals of its ratios.

`python -m benchmarks.rounds FILE FILE …` joins rounds of different days or machines, given as files
of `benchmarks/results/`, each of one round.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.harness import Result

EACH = "ratios of each round"
"""The detail of a result that has each other side's ratio in every round."""
INTERVALS = "95 % of the ratio"
"""The detail of a result that has the 95 % interval of each other side's ratio."""
_LEAST = 3
"""Rounds for an interval; two would give an interval of no use (t is 12.7 for them)."""


def together(rounds: Sequence[Result]) -> Result:
    """Return the geometric means of rounds, and of three or more the intervals (t of the logs).

    A round runs all sides, one after the other, so that a slower quarter of an hour of the machine
    changes the figures of a round more than its ratios. Other details are those of the last round.
    A single round is returned as it is.
    """
    last = rounds[-1]
    if len(rounds) == 1:
        return last
    ratios = {name: [each.ratios[name] for each in rounds] for name in last.others}
    return replace(
        last,
        ours=_mean([each.ours for each in rounds]),
        others={name: _mean([each.others[name] for each in rounds]) for name in last.others},
        details={
            **last.details,
            "rounds": len(rounds),
            EACH: ratios,
            **({INTERVALS: _intervals(ratios)} if len(rounds) >= _LEAST else {}),
        },
    )


def _intervals(ratios: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: interval(each) for name, each in ratios.items()}


def interval(ratios: Sequence[float]) -> list[float]:
    """Return the ends of the 95 % interval of the geometric mean of at least two ratios."""
    logs = np.log(ratios)
    reach = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)
    return [round(float(np.exp(logs.mean() + end)), 3) for end in (-reach, reach)]


def _mean(values: Sequence[float]) -> float:
    return float(stats.gmean(values))


def main(arguments: list[str] | None = None) -> int:
    """Join results of one round each into one result; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rounds",
        description=main.__doc__,
        epilog="example: python -m benchmarks.rounds sweep-monday.json sweep-tuesday.json",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file of results")
    files = parser.parse_args(arguments).files
    results, of_each = [], []
    for file in files:
        try:
            read = json.loads(file.read_text("utf-8"))
            results.append(Result(**{key.name: read[key.name] for key in fields(Result)}))
            of_each.append({"date": read["date"], "hardware": read["hardware"]})
        except (OSError, ValueError, KeyError, TypeError) as error:
            parser.error(
                f"{file} is no result ({type(error).__name__}: {error}); "
                "give files of benchmarks/results"
            )
    names = sorted({result.name for result in results})
    if len(files) < 2 or len(names) > 1:
        parser.error(
            "needs two or more results of one benchmark, but got "
            f"{len(files)} of {', '.join(names)}"
        )
    whole = together(results)
    whole = replace(whole, details={**whole.details, "of each round": of_each})
    print(f"kept in {whole.keep(f'{len(files)}rounds')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
