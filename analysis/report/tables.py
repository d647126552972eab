"""The tables of a report, by name. To add one, write it in its topic and add a line here."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from analysis.classes.confusions_table import confusions_table
from analysis.classes.figure import MOST_NUMBERED
from analysis.classes.probabilities_table import probabilities_table
from analysis.classes.table import classes
from analysis.comparisons.best_table import best
from analysis.comparisons.replicates_table import replicates
from analysis.comparisons.table import comparisons
from analysis.cost.latency_table import latency_table
from analysis.curves.incomplete_table import incomplete
from analysis.dataset.copies_table import copies_table
from analysis.dataset.suspects_table import suspects_table
from analysis.dataset.table import class_counts_table
from analysis.effects.by_table import by_hyperparameter
from analysis.effects.table import effects_table, levels_table
from analysis.ensembles.table import ensemble_table
from analysis.folds.table import folds
from analysis.groups.annotations import has_annotated_groups
from analysis.groups.bias import reported
from analysis.importance.table import importance_table
from analysis.rendering.table import Table
from analysis.report.naming import named
from analysis.run.hyperparameters import checked
from analysis.run.run_data import RunData
from analysis.selection.table import selection_table
from analysis.statistics.estimate import NotKnownError
from analysis.trials.table import models

T = TypeVar("T", Table, Table | None)


def _measured(make: Callable[[RunData], T]) -> Callable[[RunData], T]:
    """Return a function that names the metric of the run in the table of ``make``."""

    def table(run: RunData) -> T:
        made = make(run)
        return made if made is None else named(made, run)

    return table


def by(run: RunData, name: str) -> Table:
    """Return `analysis.effects.by_table.by_hyperparameter`, with the metric of the run."""
    return named(by_hyperparameter(run, name), run)


NAMED: Mapping[str, Callable[[RunData], Table]] = {
    name: _measured(make)
    for name, make in {
        "models": models,
        "best": best,
        "comparisons": comparisons,
        "selection": selection_table,
        "ensemble": ensemble_table,
        "effects": effects_table,
        "levels": levels_table,
        "importance": importance_table,
        "latency": latency_table,
        "folds": folds,
        "classes": classes,
        "confusions": confusions_table,
        "probabilities": probabilities_table,
        "suspects": suspects_table,
    }.items()
}
"""Value of `--what` → function that makes the table, or raises `NotKnownError` with the reason."""


def _by_each(run: RunData) -> Iterator[Table]:
    for name in run.info.searched:
        yield by(run, checked(run, name))


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
    return None if run.info.sampling == "every" else NAMED["importance"](run)


def _confusions(run: RunData) -> Table | None:
    # With few classes, the confusion matrices show all pairs.
    return None if len(run.info.classes) <= MOST_NUMBERED else NAMED["confusions"](run)


TABLES: Mapping[str, Callable[[RunData], Iterator[Table]]] = {
    **{name: _if_known(make) for name, make in NAMED.items()},
    "importance": _if_known(_importance),
    "confusions": _if_known(_confusions),
    "dataset": _if_known(class_counts_table),
    "copies": _if_known(copies_table),
    "replicates": _if_known(_measured(replicates)),
    "by": _by_each,
    "incomplete": _if_known(_measured(incomplete)),
    "bias": _bias,
}
"""Section of the report → function that yields its tables, or none if they do not apply."""
