"""Hyperparameters of own code can have any name, also that of a column of our tables."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.rendering.render import to_json
from analysis.report.summary import found
from analysis.report.tables import NAMED, by
from analysis.run.column_names import with_own_columns
from analysis.run.hyperparameters import checked
from analysis.run.run_data import read_run
from fairsweep.errors import UserError
from tests.support.run_factory import Factory
from tune.run.directory import TRIALS_FILE
from tune.run.tables import read_table_info, trials_table

USUAL = "config_size"
"""A name that no table has for a column."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    factory = Factory(configurations=4, replicates=1, faults=False, early_stopping=False)
    path = factory.write(tmp_path_factory.mktemp("runs") / "run")
    return path, pq.read_table(path / TRIALS_FILE)


def called(whole, name):
    """Read the run with the kernel size under another name."""
    path, table = whole
    info = read_table_info(table)

    def renamed(names):
        return [name if one == "kernel_size" else one for one in names]

    changed = {key: tuple(renamed(getattr(info, key))) for key in ("hyperparameters", "searched")}
    fields = [f for f in table.schema if f.name in info.hyperparameters]
    types = dict(zip(renamed(f.name for f in fields), (f.type for f in fields), strict=True))
    rows = table.rename_columns(renamed(table.column_names)).to_pylist()
    pq.write_table(trials_table(rows, replace(info, **changed), types), path / TRIALS_FILE)
    return read_run(path)


def told(run, name):
    """Return what tables and the summary say of a run, without the name."""
    tables = [by(run, name), *(NAMED[name](run) for name in ("models", "best", "effects"))]
    texts = [*found(run), *map(to_json, tables)]
    return [text.replace(name, "X").replace(name.replace("_", " "), "X") for text in texts]


def test_a_hyperparameter_with_the_name_of_a_column_is_told_like_any_other(whole):
    usual = told(called(whole, USUAL), USUAL)
    for name in ("n", "verdict", "difference"):
        run = called(whole, name)
        assert checked(run, name) == f"config_{name}"
        assert told(run, f"config_{name}") == usual


def test_renamed_hyperparameters_are_searched_and_tied_under_their_new_names(whole):
    _, table = whole
    names = ("term", "width", "level")
    info = replace(
        read_table_info(table),
        hyperparameters=names,
        searched=("width", "term"),
        tied={"level": "term", "width": "level"},
    )
    trials = pd.DataFrame([{"term": 1, "width": 2, "level": 3, "number": 4}])
    renamed, told = with_own_columns(trials, info)
    assert list(renamed) == ["config_term", "width", "config_level", "number"]
    assert told.hyperparameters == ("config_term", "width", "config_level")
    assert told.searched == ("width", "config_term")
    assert told.tied == {"config_level": "config_term", "width": "config_level"}


def test_a_run_without_any_value_is_refused_in_one_line(whole):
    path, table = whole
    place = table.column_names.index("best_val_accuracy")
    nothing = pa.nulls(len(table), pa.float64())
    pq.write_table(table.set_column(place, "best_val_accuracy", nothing), path / TRIALS_FILE)
    with pytest.raises(UserError, match=r"no trial of .* has a value of val_accuracy"):
        read_run(path)
