"""The tables of a report, by name. A new one is a file beside this one and a line here."""

from collections.abc import Callable, Iterator, Mapping

from analysis.hyperparameters import checked
from analysis.run_data import RunData
from analysis.tables.by import by_hyperparameter
from analysis.tables.incomplete import incomplete
from analysis.tables.models import models
from analysis.tables.replicates import replicates
from analysis.tables.table import Table


def _by_each(run: RunData) -> Iterator[Table]:
    for name in run.info.searched:
        yield by_hyperparameter(run, checked(run, name))


def _one(make: Callable[[RunData], Table | None]) -> Callable[[RunData], Iterator[Table]]:
    def tables(run: RunData) -> Iterator[Table]:
        table = make(run)
        if table is not None:
            yield table

    return tables


TABLES: Mapping[str, Callable[[RunData], Iterator[Table]]] = {
    "models": _one(models),
    "replicates": _one(replicates),
    "by": _by_each,
    "incomplete": _one(incomplete),
}
"""Section of the report → its tables, none where the run has nothing for it."""
