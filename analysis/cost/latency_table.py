"""The table of sizes and latencies of a run's networks, as `tune latency` has measured them."""

from typing import Any

import pandas as pd

from analysis.rendering.digits import fraction
from analysis.rendering.table import MISSING, Column, Table, View
from analysis.run.clusters import n_notes
from analysis.run.run_data import RunData
from analysis.run.trials import fairly_trained
from analysis.statistics.estimate import NotKnownError
from tune.run.latency import read_latencies


def latency_table(run: RunData) -> Table:
    """Return a row per measured configuration, best ones first.

    Frame: ``name``; ``n`` (validation pictures); ``accuracy`` (mean of the trainings that count, at
    the epoch that the objective selects); the other columns of `tune.run.latency.NetworkLatency`.

    Raises:
        NotKnownError: Nothing was measured.
    """
    found = read_latencies(run.path)
    if found is None:
        raise NotKnownError(
            f"latencies were not measured; `python -m tune latency {run.shell_path}` does"
        )
    trained = fairly_trained(run).groupby("configuration_id").agg({"accuracy": "mean", "n": "max"})
    frame = found.to_pandas().join(trained, on="configuration_id")
    order = (-run.metric.sign * frame["accuracy"]).argsort(kind="stable")
    frame = frame.iloc[order].reset_index(drop=True)
    first = ["name", "n", "accuracy"]
    frame = frame[[*first, *frame.columns.drop(first)]]
    columns = (
        Column(key="name", heading="name"),
        Column(key="accuracy", heading="accuracy", text=run.metric.cells(fraction(3))),
        Column(key="parameters", heading="parameters", text=lambda value: f"{value:,}"),
        Column(key="weights_bytes", heading="MB", text=_megabytes),
        Column(key="p50_1", heading="1 picture, ms", text=_milliseconds),
        Column(key="p95_1", heading="1 picture, 95th percentile", text=_milliseconds),
        Column(key="p50_64", heading="64 pictures, ms", text=_milliseconds),
        Column(key="p95_64", heading="64 pictures, 95th percentile", text=_milliseconds),
        Column(key="n", heading="n"),
    )
    view = View(title="Size and latency of the networks", columns=columns)
    return Table(name="latency", frame=frame, views=(view,), notes=_notes(run, frame))


def with_latency(run: RunData, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Column, ...]]:
    """Add ``weights_bytes`` and ``p50_1`` to a row per configuration, and return their columns.

    Without a measurement, the frame stays as it is and there are no columns.
    """
    found = read_latencies(run.path)
    if found is None:
        return frame, ()
    known = found.to_pandas().set_index("configuration_id")[["weights_bytes", "p50_1"]]
    columns = (
        Column(key="weights_bytes", heading="MB", text=_megabytes),
        Column(key="p50_1", heading="ms per picture", text=_milliseconds),
    )
    return frame.join(known, on="configuration_id"), columns


def _megabytes(value: Any) -> str:
    return MISSING if pd.isna(value) else f"{value / 1e6:.3g}"


def _milliseconds(value: Any) -> str:
    return MISSING if pd.isna(value) else f"{value:.3g}"


def _notes(run: RunData, frame: pd.DataFrame) -> tuple[str, ...]:
    first = frame.iloc[0]
    return (
        *n_notes(run),
        "Accuracy: mean of the trainings that count; `--what best` has intervals.",
        "Parameters: all of the network, also frozen ones. MB: all weights.",
        "Latency: median and 95th percentile of the time to predict 1 picture, or 64 together, "
        f"with PyTorch on {first['device']} of {first['host']} (threads: {first['threads']}), "
        f"measured {first['measured']} UTC. Exported networks may be faster.",
    )
