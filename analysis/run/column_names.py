"""Renames hyperparameters of own code and of imports that have the name of a column of tables."""

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from tune.run.tables import TableInfo

TAKEN = frozenset(
    {"n", "trial", "verdict", "accuracy", "term", "level", "epoch", "completed"}
    | {"trainings", "difference", "basis"}
)
"""Columns that tables add to the trials, so that no hyperparameter can keep these names."""
PREFIX = "config"


def column_name(name: str, taken: Iterable[str]) -> str:
    """Return a name for a column that is no other column, by putting `PREFIX` before it."""
    return f"{PREFIX}_{name}" if name in set(taken) else name


def with_own_columns(trials: pd.DataFrame, info: TableInfo) -> tuple[pd.DataFrame, TableInfo]:
    """Rename the hyperparameters in `TAKEN`, so that ``n`` becomes ``config_n``."""
    own = {name: column_name(name, TAKEN) for name in info.hyperparameters}
    if all(name == renamed for name, renamed in own.items()):
        return trials, info
    renamed = replace(
        info,
        hyperparameters=tuple(own.values()),
        searched=tuple(own[name] for name in info.searched),
        tied={own[name]: own[leader] for name, leader in info.tied.items()},
    )
    return trials.rename(columns=own), renamed
