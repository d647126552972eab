"""Reads what only the ledger records: the order of measurements, and their times and costs."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json

from analysis.run.run_data import RunData
from tune.run.directory import LEDGER_FILE


def progress(run: RunData) -> pd.DataFrame:
    """Return a row per measurement, in the order in which the driver received them.

    Columns: ``trial_id``, ``epoch``, ``device_hours`` (cumulative over all trials, including this
    epoch: training time multiplied by the GPUs or CPU cores of a trial), ``value`` (the objective's
    metric) and ``best`` (best value so far; for an objective at the last epoch, only the last
    epochs of trials count).
    """
    events = _events(run)
    devices = events.groupby("trial")["devices"].last()
    rows = events[events["event"] == "measurement"].reset_index(drop=True)
    share = rows["trial"].map(devices).astype(float).fillna(1.0)
    spent = rows["seconds"].fillna(0.0) * share
    frame = pd.DataFrame(
        {
            "trial_id": rows["trial"],
            "epoch": rows["epoch"],
            "device_hours": spent.cumsum() / 3600,
            "value": rows["value"],
        }
    )
    return frame.assign(best=_best_so_far(run, frame))


def times(run: RunData) -> dict[str, tuple[float, float]]:
    """Return the times of each trial's first and last event, in seconds since 1970."""
    events = _events(run).dropna(subset=["trial", "time"])
    events = events[events["event"].isin(("trial_started", "measurement", "trial_ended"))]
    spans = events.groupby("trial")["time"].agg(["min", "max"])
    return {str(trial): (first, last) for trial, first, last in spans.itertuples()}


def _best_so_far(run: RunData, frame: pd.DataFrame) -> "pd.Series[float]":
    objective = run.info.objective
    value = frame["value"].replace([math.inf, -math.inf], np.nan)
    if objective["at"] == "last":
        value = value.where(~frame["trial_id"].duplicated(keep="last"))
    best = value.cummin() if objective["mode"] == "min" else value.cummax()
    return best.ffill()


def _events(run: RunData) -> pd.DataFrame:
    """Read the required columns; an incomplete last line is ignored."""
    metric = run.info.objective["metric"]
    columns = pa.schema(
        [
            ("event", pa.string()),
            ("trial", pa.string()),
            ("devices", pa.float64()),
            ("epoch", pa.int64()),
            ("time", pa.float64()),
            ("values", pa.struct([("seconds", pa.float64()), (metric, pa.float64())])),
        ]
    )
    lines = (run.path / LEDGER_FILE).read_bytes()
    whole = pa.BufferReader(memoryview(lines)[: lines.rfind(b"\n") + 1])
    options = pyarrow.json.ParseOptions(explicit_schema=columns, unexpected_field_behavior="ignore")
    table = pyarrow.json.read_json(whole, parse_options=options)
    values = table["values"].combine_chunks()
    table = table.drop_columns(["values"])
    table = table.append_column("seconds", values.field("seconds"))
    frame: pd.DataFrame = table.append_column("value", values.field(metric)).to_pandas()
    return frame
