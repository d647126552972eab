"""Draws the best objective value so far against the device-hours spent."""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import BLUE, ORANGE
from analysis.run.ledger import progress as read_progress
from analysis.run.metric import Metric, described
from analysis.run.run_data import RunData


def progress(run: RunData) -> Iterator[Drawing]:
    """Yield one figure if the ledger has measurements."""
    data = prepare(run)
    if data["best"].notna().any():
        hours = data["device_hours"].max()
        spent = (
            f"device-hours spent ({hours:.3g} in total; device-hours are hours of training times "
            "the GPUs or CPU cores in use)"
            if hours > 0
            else "epochs trained, those of all trials together (seconds are not known)"
        )
        metric = objective_metric(run)
        counted = (
            "Every epoch of every trial counts"
            if run.info.objective["at"] == "best"
            else "Only the last epoch of each trial counts"
        )
        yield charted(
            name="best_so_far",
            title=f"Best {metric.long} so far",
            caption=f"The best value of the sweep so far against the {spent}. {counted}. Each "
            "point is the end of a trial. The best of many values is slightly too "
            f"{'high' if metric.sign > 0 else 'low'}, because it was selected.",
            chart=progress_chart(run, data),
        )


def objective_metric(run: RunData) -> Metric:
    """Return what is known about the metric of the objective."""
    return described(run.trials, run.info.objective["metric"], run.info.objective["mode"])


def prepare(run: RunData) -> pd.DataFrame:
    """Return `analysis.run.ledger.progress` in the units of the chart, with two more columns.

    ``number`` (of the trial) and ``ends`` (True at the last epoch of a trial). ``epochs`` counts
    the rows.
    """
    data = read_progress(run)
    scale = objective_metric(run).scale
    number = run.trials.set_index("trial_id")["number"]
    return data.assign(
        value=scale * data["value"],
        best=scale * data["best"],
        number=data["trial_id"].map(number).fillna(-1).astype(int),
        ends=~data["trial_id"].duplicated(keep="last"),
        epochs=range(1, len(data) + 1),
    )


def spent_column(data: pd.DataFrame) -> str:
    """Return the column of what was spent: epochs if seconds are not known."""
    return "device_hours" if data["device_hours"].max() > 0 else "epochs"


def spent_label(data: pd.DataFrame) -> str:
    """Return the label of the axis of `spent_column`."""
    known = spent_column(data) == "device_hours"
    return "device-hours spent" if known else "epochs trained, all trials"


def progress_chart(run: RunData, data: pd.DataFrame) -> Chart:
    """Draw the best value so far as steps, and each trial's last value as a point."""
    ends = data[data["ends"] & data["value"].notna()]
    panel = Panel(
        x=Axis(label=spent_label(data)),
        y=Axis(label=objective_metric(run).axis),
        layers=(
            Layer(
                kind="points",
                label="a trial at its last epoch",
                x=float_array(ends[spent_column(data)]),
                y=float_array(ends["value"]),
                trials=ends["number"].to_numpy(int),
                colour=ORANGE,
                marker="D",
                hollow=True,
                size=4.2,
            ),
            best_layer(data, "best so far", BLUE),
        ),
    )
    return Chart(panels=(panel,), panel_size=(6.3, 3.3))


def best_layer(
    data: pd.DataFrame, label: str, colour: str, dash: str = "-", *, named: bool = True
) -> Layer:
    """Return ``best`` over ``device_hours``: a point at each change and one at the end.

    Args:
        data: The result of `prepare`.
        label: Legend entry.
        colour: Colour of the line.
        dash: Dash style of the line.
        named: Whether the page has the names of these trials, to show on hover.
    """
    known = data[data["best"].notna()]
    changes = known["best"].diff().ne(0) | (known.index == known.index[-1])
    shown = known[changes]
    return Layer(
        kind="steps",
        label=label,
        x=float_array(shown[spent_column(data)]),
        y=float_array(shown["best"]),
        trials=shown["number"].to_numpy(int) if named else None,
        colour=colour,
        marker="",
        dash=dash,
    )
