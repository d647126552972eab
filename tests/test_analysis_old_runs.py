"""Runs that an earlier version left have the tables that it printed."""

from io import StringIO

import pandas as pd
import pytest

from analysis.__main__ import main
from tests.support.old_runs import EXPECTED, NAMES, unpack

TABLES = [(run, path.stem) for run in NAMES for path in sorted((EXPECTED / run).glob("*.csv"))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old runs")
    return {name: unpack(name, folder) for name in NAMES}


@pytest.mark.parametrize(("run", "table"), TABLES)
def test_an_old_run_has_the_same_table(runs, run, table, capsys):
    assert main(["table", str(runs[run]), "--what", table, "--format", "csv"]) == 0
    found = pd.read_csv(StringIO(capsys.readouterr().out))
    expected = pd.read_csv(EXPECTED / run / f"{table}.csv")
    # Sums over pictures may run in another order on another processor.
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9)
