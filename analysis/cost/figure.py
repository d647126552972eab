"""Draws accuracy against the cost of a model, with the Pareto front."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import VERMILION
from analysis.effects.figure import trial_layers
from analysis.rendering.words import first_upper
from analysis.run.metric import Metric
from analysis.run.run_data import RunData
from tune.run.trial import Status

COSTS = {"parameters": "trainable parameters", "seconds": "training time, seconds"}
"""Column of the trials table → axis label."""


def cost(run: RunData) -> Iterator[Drawing]:
    """Yield one figure with a panel per cost that differs between trials."""
    data = prepare(run)
    shown = [name for name in COSTS if name in data and data[name].nunique() > 1]
    if shown:
        at = run.info.objective["at"]
        n, worse = data["n"].max(), "lower" if run.metric.sign > 0 else "higher"
        pictures = "" if pd.isna(n) else f", n = {n:,} pictures"
        yield charted(
            name="accuracy_against_cost",
            title=f"{first_upper(run.metric.word)} against cost",
            caption=f"{first_upper(run.metric.long)} at the {at} epoch{pictures}; each point is a "
            "trial. Pareto front: completed trials that no other completed trial beats at the same "
            "or lower cost (neighbours on the front may differ only by chance). Trials that were "
            f"stopped early had fewer epochs, so they show less time and a {worse} "
            f"{run.metric.word} than a complete training.",
            chart=cost_chart(data, shown, replace(run.metric, when=f"at the {at} epoch")),
        )


def prepare(run: RunData) -> pd.DataFrame:
    """Return a row per completed or early-stopped trial.

    Columns: ``number``, ``n``, ``completed``, ``accuracy`` (the metric, shares in %, at the
    objective's epoch) and each of ``COSTS``.
    """
    trials = run.comparable
    return trials[["number", "n", *COSTS]].assign(
        completed=trials["status"] == Status.COMPLETED,
        accuracy=run.metric.scale * trials[run.value_column],
    )


def pareto(costs: npt.NDArray[np.float64], gains: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the Pareto front: entries for which no entry of lower or equal cost gains as much.

    Returns:
        Indices by increasing cost; only the first of equal entries.
    """
    order = np.lexsort((-gains, costs))
    best = np.maximum.accumulate(np.append(-np.inf, gains[order]))
    return order[gains[order] > best[:-1]]


def cost_chart(data: pd.DataFrame, costs: list[str], metric: Metric) -> Chart:
    """Draw a panel per cost with all trials and the Pareto front of the completed trials."""
    y = Axis(label=metric.axis)
    panels = []
    for name in costs:
        known = data[data[name].notna() & data["accuracy"].notna()]
        x = float_array(known[name])
        axis = Axis(label=COSTS[name], log=bool((x > 0).all()) and x.max() / x.min() >= 4)
        layers = trial_layers(known, x)
        panels.append(Panel(x=axis, y=y, layers=(*_front(known, name, metric.sign), *layers)))
    return Chart(panels=tuple(panels), panel_size=(4.4, 3.3))


def _front(data: pd.DataFrame, name: str, sign: int) -> tuple[Layer, ...]:
    completed = data[data["completed"]]
    if completed.empty:
        return ()
    x, y = float_array(completed[name]), float_array(completed["accuracy"])
    front = pareto(x, sign * y)
    return (
        Layer(
            kind="steps",
            label="Pareto front",
            x=x[front],
            y=y[front],
            trials=completed["number"].to_numpy(int)[front],
            colour=VERMILION,
            marker="",
        ),
    )
