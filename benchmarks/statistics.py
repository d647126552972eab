"""How often a report's tables are wrong: false verdicts, missed truths, undetected differences.

The functions that make the tables run on simulated sweeps (`benchmarks.simulated_sweeps`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

from analysis.comparisons.table import comparisons
from analysis.effects.design import MATTERS
from analysis.effects.table import effects_table, levels_table
from analysis.rendering.words import INCUMBENT
from analysis.run.hyperparameters import words
from analysis.statistics import verdicts
from analysis.statistics.estimate import NotKnownError
from analysis.statistics.verdicts import Verdict
from benchmarks.harness import Result
from benchmarks.judged_comparisons import EXACT, judge_best, judge_two_runs
from benchmarks.simulated_runs import World, write_dataset
from benchmarks.simulated_sweeps import Simulated, drawn, finalists, folds, grid, two_runs
from fairsweep.errors import UserError

SWEEPS = 400
MOST_FALSE, LEAST_FOUND, COVERAGE = 0.06, 0.90, (0.93, 0.97)
FIVE_POINTS = "grid, one configuration better by 5 points"
LARGE = "grid, 10 replicates on 10,000 pictures"
LARGE_WORLD = World(pictures=10_000, duplicates=False)
MARGIN = 0.02
"""Margin of the sweeps on many pictures."""


Rows = Mapping[str, Mapping[str, float]]


@dataclass(kw_only=True)
class Tally:
    """Counts of true and false results of the tables for one kind of sweep."""

    sweeps: int = 0
    false: Counter[str] = field(default_factory=Counter)
    """Table → number of sweeps in which it has a false verdict; ``any``: in which any table has."""
    intervals: dict[str, list[bool]] = field(default_factory=dict)
    """Kind of interval → whether each interval contains the truth."""
    found: Counter[str] = field(default_factory=Counter)
    """Table → number of sweeps in which it finds a true difference."""
    equivalent: Counter[str] = field(default_factory=Counter)
    """Table → number of sweeps in which it finds all that are equivalent."""

    def judge(self, simulated: Simulated, margin: float = verdicts.MARGIN) -> None:
        """Count tables of a run with a false verdict, and intervals that contain the truth."""
        simulated = replace(simulated, run=replace(simulated.run, margin=margin))
        wrong = {name for name, judge in JUDGES.items() if judge(self, simulated)}
        self._note(wrong)

    def judge_two(self, first: Simulated, second: Simulated) -> None:
        """Count whether a comparison of two runs says something false of their best."""
        judged = judge_two_runs(first, second)
        self.found["compare"] += judged.found
        self._note({"compare"} if judged.false else set())

    @property
    def tables(self) -> list[str]:
        """Tables that were judged."""
        return list(JUDGES) if self.intervals else ["compare"]

    def _note(self, wrong: set[str]) -> None:
        self.sweeps += 1
        self.false.update([*wrong, *(["any"] if wrong else [])])

    def covered(self, kind: str, low: object, high: object, truth: object) -> None:
        """Record whether intervals contain the truth; missing intervals do not count."""
        ends = np.array([low, high, truth], dtype=float)
        known = ~np.isnan(ends).any(axis=0)
        held = (ends[0] <= ends[2]) & (ends[2] <= ends[1])
        self.intervals.setdefault(kind, []).extend(held[known].tolist())

    def rate(self, table: str = "any") -> float:
        """Return the share of sweeps in which this table (or any) has a false verdict."""
        return self.false[table] / self.sweeps


def _effects(tally: Tally, simulated: Simulated) -> bool:
    try:
        frame = effects_table(simulated.run).frame
    except NotKnownError:
        return False
    true = {" × ".join(map(words, term.split(" × "))) for term in simulated.matters}
    shown = set(frame.loc[frame["verdict"] == MATTERS, "name"])
    tally.found["effects"] += bool(shown & true)
    return bool(shown - true)


def _levels(tally: Tally, simulated: Simulated) -> bool:
    frame = levels_table(simulated.run).frame
    keys = list(zip(frame["hyperparameter"], frame["level"], strict=True))
    frame = frame.assign(truth=[simulated.levels.get(key, np.nan) for key in keys])
    overall = frame.groupby("hyperparameter")["truth"].transform("mean")
    tally.covered("levels", frame["accuracy_low"], frame["accuracy_high"], frame["truth"])
    effect = frame["truth"] - overall
    tally.covered("effects of levels", frame["effect_low"], frame["effect_high"], effect)
    return False


def _comparisons(tally: Tally, simulated: Simulated) -> bool:
    frame = comparisons(simulated.run).frame
    models = frame["basis"].iloc[0] == "models"
    key, truth = (
        ("trial_id", simulated.models) if models else ("configuration_id", simulated.accuracy)
    )
    frame = frame.assign(truth=frame[key].map(truth))
    tally.covered("accuracies", frame["accuracy_low"], frame["accuracy_high"], frame["truth"])
    others = frame[frame["verdict"] != INCUMBENT]
    gap = others["truth"] - frame.loc[frame["verdict"] == INCUMBENT, "truth"].iloc[0]
    gap = gap.where(gap.abs() > 1e-9, 0.0)
    error = others["difference"] - gap
    reach = (others["difference_high"] - others["difference_low"]) / 2
    tally.intervals.setdefault("differences, all together", []).append(
        bool((error.abs() <= reach).all())
    )
    tally.found["comparisons"] += bool((others["verdict"] == Verdict.WORSE).all())
    false = {
        Verdict.BETTER: gap <= 0,
        Verdict.WORSE: gap >= 0,
        Verdict.EQUIVALENT: gap.abs() >= simulated.run.margin - EXACT,
    }
    within = others.loc[~false[Verdict.EQUIVALENT], "verdict"]
    tally.equivalent["comparisons"] += bool((within == Verdict.EQUIVALENT).all())
    return any((others["verdict"].eq(verdict) & wrong).any() for verdict, wrong in false.items())


def _best(tally: Tally, simulated: Simulated) -> bool:
    judged = judge_best(simulated)
    tally.intervals.setdefault("from the best, all together", []).append(judged.held)
    tally.found["best"] += judged.found
    tally.equivalent["best"] += judged.as_good
    return judged.false


JUDGES: Mapping[str, Callable[[Tally, Simulated], bool]] = {
    "effects": _effects,
    "levels": _levels,
    "best": _best,
    "comparisons": _comparisons,
}

KINDS: Mapping[str, Callable[..., Simulated]] = {
    "grid, nothing matters": grid,
    "grid, some seeds unsteady": partial(grid, world=World(unsteady=3.0)),
    "grid, one matters": partial(grid, effect=0.03),
    "grid, one training each": partial(grid, effect=0.03, replicates=1),
    "grid, one better by a fifth of a point": partial(grid, best=0.002),
    LARGE: partial(grid, replicates=10, world=LARGE_WORLD),
    f"{LARGE}, two points apart": partial(grid, effect=0.02, replicates=10, world=LARGE_WORLD),
    "drawn, all equal": partial(drawn, world=World()),
    "drawn, nothing matters": drawn,
    "drawn, one matters": partial(drawn, effect=0.03),
    "drawn, learning rate matters": partial(drawn, rate=0.3),
    "drawn, one training each": partial(drawn, rate=0.3, replicates=1),
    "folds with seeds, nothing matters": folds,
    "ten folds with seeds, one matters": partial(folds, effect=0.03, count=10, replicates=3),
    "ASHA with finalists": partial(finalists, effect=0.03),
    FIVE_POINTS: partial(grid, best=0.05),
}
"""Kind of sweep → function that simulates it."""


PAIRS: Mapping[str, Callable[..., tuple[Simulated, Simulated]]] = {
    "two runs, 24 models against 1": two_runs,
    "two runs, 100 models against 1": partial(two_runs, count=100),
    "two runs, 24 models against 24": partial(two_runs, against=24),
    "two runs, 12 configurations against 1": partial(two_runs, count=12, replicates=4),
}
"""Kind of comparison of two runs → function that simulates it."""


def simulate(sweeps: int = SWEEPS, kinds: Sequence[str] = ("",)) -> dict[str, Tally]:
    """Simulate and judge this many sweeps of each kind whose name contains one of ``kinds``.

    A kind's random numbers depend on its name, so they do not change with the choice of kinds.

    Raises:
        UserError: No kind has such a name.
    """
    names = [kind for kind in (*KINDS, *PAIRS) if any(part in kind for part in kinds)]
    if not names:
        known = "; ".join((*KINDS, *PAIRS))
        raise UserError(f"no kind of sweep contains {' or '.join(kinds)}; the kinds are: {known}")
    tallies = {kind: Tally() for kind in names}
    with TemporaryDirectory() as folder:
        data = write_dataset(World(), Path(folder) / "usual")
        large = write_dataset(LARGE_WORLD, Path(folder) / "large")
        for number in range(sweeps):
            for kind, tally in tallies.items():
                rng = np.random.default_rng([number, crc32(kind.encode())])
                if kind in PAIRS:
                    tally.judge_two(*PAIRS[kind](rng, data=data))
                elif kind.startswith(LARGE):
                    tally.judge(KINDS[kind](rng, data=large), MARGIN)
                else:
                    tally.judge(KINDS[kind](rng, data=data))
    return tallies


def run(sweeps: int = SWEEPS, kinds: Sequence[str] = ("",)) -> Iterator[Result]:
    """Simulate sweeps, print the results, and yield the worst rate of false verdicts."""
    tallies = simulate(sweeps, kinds)
    console = Console(width=150)
    tables = [_false_table(tallies)]
    tables += [_coverage_table(tallies)] if any(t.intervals for t in tallies.values()) else []
    tables += [_found_table(tallies)] if FIVE_POINTS in tallies else []
    tables += [_equivalent_table(tallies)] if LARGE in tallies else []
    for table in tables:
        console.print(table)
    yield _result(tallies, sweeps)


def _result(tallies: Mapping[str, Tally], sweeps: int) -> Result:
    worst = max(tallies, key=lambda kind: tallies[kind].rate())
    details: dict[str, object] = {
        "worst kind": worst,
        "sweeps": {kind: tally.sweeps for kind, tally in tallies.items()},
        "false verdicts": {
            kind: {table: round(tally.rate(table), 4) for table in ("any", *tally.tables)}
            for kind, tally in tallies.items()
        },
        "coverage": {kind: _coverage(tally) for kind, tally in tallies.items()},
        "effects found": {
            kind: round(tally.found["effects"] / tally.sweeps, 4)
            for kind, tally in tallies.items()
            if tally.found["effects"]
        },
    }
    if FIVE_POINTS in tallies:
        details["five points found"] = _found(tallies[FIVE_POINTS])
    if LARGE in tallies:
        details["equivalence found"] = _equivalent(tallies[LARGE])
    return Result(
        name="statistics" if len(tallies) == len(KINDS) + len(PAIRS) else "statistics_some",
        unit=f"share of {sweeps} sweeps with a false verdict, worst kind",
        ours=max(tallies[worst].rate(), 1 / sweeps),
        others={"at most": MOST_FALSE},
        smaller_is_better=True,
        details=details,
    )


def _coverage(tally: Tally) -> dict[str, float]:
    return {kind: round(float(np.mean(held)), 4) for kind, held in tally.intervals.items() if held}


def _found(tally: Tally) -> dict[str, float]:
    return {table: count / tally.sweeps for table, count in tally.found.items()}


def _equivalent(tally: Tally) -> dict[str, float]:
    return {table: count / tally.sweeps for table, count in tally.equivalent.items()}


def _printed(
    title: str, headings: Sequence[str], rows: Mapping[str, Mapping[str, float]]
) -> Printed:
    table = Printed(title=title, box=None, title_justify="left")
    for heading in ("", *headings):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in rows.items():
        table.add_row(name, *(f"{100 * row[h]:.1f} %" if h in row else "" for h in headings))
    return table


def _false_table(tallies: Mapping[str, Tally]) -> Printed:
    rows = {
        kind: {table: tally.rate(table) for table in ("any", *tally.tables)}
        for kind, tally in tallies.items()
    }
    title = f"Sweeps with a false verdict (at most {MOST_FALSE:.0%})"
    return _printed(title, ["any", *JUDGES, "compare"], rows)


def _coverage_table(tallies: Mapping[str, Tally]) -> Printed:
    rows = {kind: _coverage(tally) for kind, tally in tallies.items() if tally.intervals}
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    low, high = COVERAGE
    return _printed(f"95 % intervals that hold the truth ({low:.0%} to {high:.0%})", kinds, rows)


def _found_table(tallies: Mapping[str, Tally]) -> Printed:
    rows = {FIVE_POINTS: _found(tallies[FIVE_POINTS])}
    title = f"Sweeps in which a difference of five points was found (at least {LEAST_FOUND:.0%})"
    return _printed(title, list(rows[FIVE_POINTS]), rows)


def _equivalent_table(tallies: Mapping[str, Tally]) -> Printed:
    rows = {LARGE: _equivalent(tallies[LARGE])}
    title = f"Sweeps in which all configurations were found equivalent, margin {MARGIN:g}"
    return _printed(title, list(rows[LARGE]), rows)
