"""Several rounds of a benchmark as one result, with intervals of its ratios."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from benchmarks.harness import Result

INTERVALS = "95 % of the ratio"
"""The detail of a result that has the 95 % interval of each other side's ratio."""


def together(rounds: Sequence[Result]) -> Result:
    """Return the geometric means of at least two rounds, and intervals over rounds (t of the logs).

    A round runs all sides, one after the other, so that a slower quarter of an hour of the machine
    changes the figures of a round more than its ratios. Other details are those of the last round.
    """
    last = rounds[-1]
    ratios = {name: [each.ratios[name] for each in rounds] for name in last.others}
    return replace(
        last,
        ours=_mean([each.ours for each in rounds]),
        others={name: _mean([each.others[name] for each in rounds]) for name in last.others},
        details={
            **last.details,
            "rounds": len(rounds),
            "ratios of each round": ratios,
            INTERVALS: {name: interval(each) for name, each in ratios.items()},
        },
    )


def interval(ratios: Sequence[float]) -> list[float]:
    """Return the ends of the 95 % interval of the geometric mean of at least two ratios."""
    logs = np.log(ratios)
    reach = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)
    return [round(float(np.exp(logs.mean() + end)), 3) for end in (-reach, reach)]


def _mean(values: Sequence[float]) -> float:
    return float(stats.gmean(values))
