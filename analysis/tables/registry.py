"""The tables of a report, by name. A new one is a file beside this one and a line here."""

from collections.abc import Callable, Iterator, Mapping

from analysis.groups import has_annotated_groups
from analysis.hyperparameters import checked
from analysis.run_data import RunData
from analysis.statistics.estimate import NotKnownError
from analysis.tables.by import by_hyperparameter
from analysis.tables.classes import classes
from analysis.tables.comparisons import comparisons
from analysis.tables.effects import effects_table, levels_table
from analysis.tables.folds import folds
from analysis.tables.importance import importance_table
from analysis.tables.incomplete import incomplete
from analysis.tables.models import models
from analysis.tables.replicates import replicates
from analysis.tables.selection import selection_table
from analysis.tables.table import Table

NAMED: Mapping[str, Callable[[RunData], Table]] = {
    "models": models,
    "comparisons": comparisons,
    "selection": selection_table,
    "effects": effects_table,
    "levels": levels_table,
    "importance": importance_table,
    "folds": folds,
    "classes": classes,
}
"""How `--what` names a table → what makes it, or raises `NotKnownError` with what is missing."""


def _by_each(run: RunData) -> Iterator[Table]:
    for name in run.info.searched:
        yield by_hyperparameter(run, checked(run, name))


def _one(make: Callable[[RunData], Table | None]) -> Callable[[RunData], Iterator[Table]]:
    def tables(run: RunData) -> Iterator[Table]:
        try:
            table = make(run)
        except NotKnownError:
            return
        if table is not None:
            yield table

    return tables


def _bias(run: RunData) -> Iterator[Table]:
    if not has_annotated_groups(run):
        return
    from analysis.bias import reported  # heavy: fairlearn, for few runs only

    bias = reported(run)
    if bias is not None:
        yield from bias.tables


def _importance(run: RunData) -> Table | None:
    # A grid is balanced: there the effects say all that importances do, and with verdicts.
    return None if run.info.searcher == "grid" else importance_table(run)


TABLES: Mapping[str, Callable[[RunData], Iterator[Table]]] = {
    **{name: _one(make) for name, make in NAMED.items()},
    "importance": _one(_importance),
    "replicates": _one(replicates),
    "by": _by_each,
    "incomplete": _one(incomplete),
    "bias": _bias,
}
"""Section of the report → its tables, none where the run has nothing for it."""
