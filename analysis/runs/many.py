"""Compares several runs: one table of all their configurations, and what differed between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.comparisons.best import Standing
from analysis.comparisons.best_table import best
from analysis.rendering.table import Column, Table
from analysis.run.run_data import RunData
from analysis.runs.compare import best_words
from analysis.runs.searchers import searchers_table
from analysis.runs.spec_differences import differences_table
from analysis.runs.together import Together, put_together
from analysis.statistics.estimate import NotKnownError


@dataclass(frozen=True, kw_only=True, eq=False)
class ManyRuns:
    """The comparison of several runs."""

    together: Together
    best: Table | None
    """All configurations, each compared with the best of the others; None if that is not known."""
    searchers: Table | None
    """Searchers at equal cost; None if there are not two with two runs each."""
    differences: Table
    """What differed between the runs."""

    @property
    def tables(self) -> Mapping[str, Table]:
        """Title of a section → its table."""
        every = {
            "Configurations of all runs": self.best,
            "Searchers": self.searchers,
            "What differed": self.differences,
        }
        return {title: table for title, table in every.items() if table is not None}

    found: tuple[str, ...]
    """Sentences about what is known."""
    unknown: tuple[str, ...]
    """Sentences about what is not known."""


def compare_many(runs: Sequence[RunData]) -> ManyRuns:
    """Compare several runs on one dataset.

    Raises:
        UserError: A run is given twice, or no other run can be compared with the first one.
    """
    together = put_together(runs)
    found = [best_words(r, name) for r, name in zip(together.runs, together.names, strict=True)]
    unknown = [f"How {name} compares: {reason}." for name, reason in together.apart.items()]
    table = None
    try:
        table = best_of_all(together)
    except NotKnownError as error:
        unknown.append(f"Which configurations cannot be told from the best: {error}.")
    else:
        found.append(_best_words(table))
    return ManyRuns(
        together=together,
        best=table,
        searchers=searchers_table(together.runs),
        differences=differences_table(together.runs, together.names),
        found=tuple(found),
        unknown=tuple(unknown),
    )


def best_of_all(together: Together) -> Table:
    """Return `analysis.comparisons.best_table.best` of all runs together.

    The frame also has ``run``: the runs that trained the configuration, separated by commas.

    Raises:
        NotKnownError: There is nothing to compare.
    """
    merged = together.merged
    table = best(merged)
    key = "trial_id" if (table.frame["basis"] == "models").any() else "configuration_id"
    runs_of = merged.trials.groupby(key)["run"].agg(_all_runs)
    # Numbers of trials, which follow equal names within a run, mean nothing here.
    names = merged.trials.drop_duplicates(key).set_index(key)["name"]
    view = table.views[0]
    columns = (view.columns[0], Column(key="run", heading="run"), *view.columns[1:])
    return replace(
        table,
        name="best_of_all",
        frame=table.frame.assign(
            name=table.frame[key].map(names), run=table.frame[key].map(runs_of)
        ),
        views=(replace(view, columns=columns),),
        notes=(*table.notes, *_notes(together)),
    )


def _all_runs(told: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(name for names in told for name in names.split(", ")))


def _notes(together: Together) -> list[str]:
    notes = [
        "The fair trainings of all runs together: those that completed, and of finalists those by "
        "which they were not picked. A configuration that several runs trained is one row."
    ]
    if together.shared:
        notes.append(f"{together.shared:,} trainings that are in several runs count once.")
    return notes


def _best_words(table: Table) -> str:
    """Say which configurations cannot be told from the best, and of which runs they are."""
    frame = table.frame[table.frame["verdict"] != Standing.NOT_BEST]
    first = f"{frame['name'].iloc[0]} ({frame['run'].iloc[0]})"
    if len(frame) == 1:
        return f"Of all {len(table.frame):,} shown, {first} is the best."
    return (
        f"Of all {len(table.frame):,} shown, {len(frame):,} cannot be told from the best, "
        f"{first} first. They are of {_all_runs(frame['run'].tolist())}."
    )
