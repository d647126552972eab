"""Asserts that two runs have the same results."""

import pyarrow.parquet as pq

from tune.run.directory import MEASUREMENTS_FILE, TRIALS_FILE
from tune.run.trial import TIMINGS


def tables(run):
    """Both tables without times and hosts."""
    trials = pq.read_table(run / TRIALS_FILE).to_pandas()
    measurements = pq.read_table(run / MEASUREMENTS_FILE).to_pandas()
    return (
        trials.drop(columns=["seconds", "device_seconds", "host"]).to_dict("list"),
        measurements.drop(columns=list(TIMINGS), errors="ignore").to_dict("list"),
    )


def assert_equal_end(run, reference):
    ours, theirs = tables(run), tables(reference)
    for part, expected in zip(ours, theirs, strict=True):
        for column in expected:
            assert repr(part[column]) == repr(expected[column]), column
    names, expected = (
        {path.name for path in each.glob("predictions/*.parquet")} for each in (run, reference)
    )
    assert names == expected
