"""Which verdicts of comparisons are false, where the truth about a simulated run is known."""

import re
from dataclasses import dataclass

import pandas as pd

from analysis.comparisons.best import Standing
from analysis.comparisons.best_table import best
from analysis.run.trials import incumbent
from analysis.runs.compare import compare_runs
from analysis.statistics.verdicts import Verdict
from benchmarks.simulated_sweeps import Simulated

EXACT = 1e-9
"""True accuracies that differ by less are equal."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a table of comparisons with the best says."""

    false: bool
    """Whether a verdict is false."""
    held: bool
    """Whether all intervals contain the true differences."""
    found: bool
    """Whether all that are worse are shown not to be the best."""
    as_good: bool
    """Whether all that are within the margin are shown to be as good as the best."""


def judge_best(simulated: Simulated) -> Judged:
    """Judge `analysis.comparisons.best_table.best`; equals of the best may be "not the best"."""
    frame = best(simulated.run).frame
    models = frame["basis"].iloc[0] == "models"
    accuracy = simulated.models if models else simulated.accuracy
    truth = frame["trial_id" if models else "configuration_id"].map(accuracy)
    gap = pd.Series([truth[i] - truth.drop(i).max() for i in truth.index])
    gap = gap.where(gap.abs() > EXACT, 0.0)
    verdict, margin = frame["verdict"], simulated.run.margin
    wrong = {
        Standing.NOT_BEST: gap > 0,
        Standing.BEST: gap < 0,
        Standing.AS_GOOD: gap <= -margin + EXACT,
    }
    low, high = frame["difference_low"] - EXACT, frame["difference_high"] + EXACT
    return Judged(
        false=any((verdict.eq(said) & false).any() for said, false in wrong.items()),
        held=bool(gap.between(low, high).all()),
        found=bool(verdict[gap < 0].eq(Standing.NOT_BEST).all()),
        as_good=bool(verdict[~wrong[Standing.AS_GOOD]].eq(Standing.AS_GOOD).all()),
    )


def judge_two_runs(first: Simulated, second: Simulated) -> Judged:
    """Judge what `analysis.runs.compare.compare_runs` says of the best of two runs.

    A sentence on two trained models is judged by what these two would tell right of all pictures,
    one on configurations by the accuracies of all their trainings.
    """
    of_models = [each.models[str(incumbent(each.run)["trial_id"])] for each in (first, second)]
    of_configurations = [
        max(each.accuracy[c] for c in each.run.trials["configuration_id"])
        for each in (first, second)
    ]
    said = []
    for sentence in compare_runs(first.run, second.run).found:
        one, other = of_models if "McNemar" in sentence else of_configurations
        if verdict := re.search(r": (better|worse)\. ", f"{sentence} "):
            gap = one - other
            better = verdict[1] == Verdict.BETTER
            said.append(gap > EXACT if better else gap < -EXACT)
    return Judged(false=not all(said), held=True, found=any(said), as_good=False)
