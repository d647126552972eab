"""The tables of a report, by name. To add one, write it in its topic and add a line here."""

from collections.abc import Callable, Iterator, Mapping

from analysis.classes.confusions_table import confusions_table
from analysis.classes.figure import MOST_NUMBERED
from analysis.classes.table import classes
from analysis.comparisons.best_table import best
from analysis.comparisons.replicates_table import replicates
from analysis.comparisons.table import comparisons
from analysis.curves.incomplete_table import incomplete
from analysis.dataset.table import class_counts_table
from analysis.effects.by_table import by_hyperparameter
from analysis.effects.table import effects_table, levels_table
from analysis.folds.table import folds
from analysis.groups.annotations import has_annotated_groups
from analysis.groups.bias import reported
from analysis.importance.table import importance_table
from analysis.rendering.table import Table
from analysis.run.hyperparameters import checked
from analysis.run.run_data import RunData
from analysis.selection.table import selection_table
from analysis.statistics.estimate import NotKnownError
from analysis.trials.table import models

NAMED: Mapping[str, Callable[[RunData], Table]] = {
    "models": models,
    "best": best,
    "comparisons": comparisons,
    "selection": selection_table,
    "effects": effects_table,
    "levels": levels_table,
    "importance": importance_table,
    "folds": folds,
    "classes": classes,
    "confusions": confusions_table,
}
"""Value of `--what` → function that makes the table, or raises `NotKnownError` with the reason."""


def _by_each(run: RunData) -> Iterator[Table]:
    for name in run.info.searched:
        yield by_hyperparameter(run, checked(run, name))


def _if_known(make: Callable[[RunData], Table | None]) -> Callable[[RunData], Iterator[Table]]:
    """Return a function that yields the table of ``make``, or nothing if it does not apply."""

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
    bias = reported(run)
    if bias is not None:
        yield from bias.tables


def _importance(run: RunData) -> Table | None:
    # A grid is balanced, so its table of effects has the same information, with verdicts.
    return None if run.info.sampling == "every" else importance_table(run)


def _confusions(run: RunData) -> Table | None:
    # With few classes, the confusion matrices show all pairs.
    return None if len(run.info.classes) <= MOST_NUMBERED else confusions_table(run)


TABLES: Mapping[str, Callable[[RunData], Iterator[Table]]] = {
    **{name: _if_known(make) for name, make in NAMED.items()},
    "importance": _if_known(_importance),
    "confusions": _if_known(_confusions),
    "dataset": _if_known(class_counts_table),
    "replicates": _if_known(replicates),
    "by": _by_each,
    "incomplete": _if_known(incomplete),
    "bias": _bias,
}
"""Section of the report → function that yields its tables, or none if they do not apply."""
