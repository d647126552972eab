"""Draws the best objective value so far against the device-hours spent."""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import BLUE, ORANGE
from analysis.run.hyperparameters import metric_scale, metric_words
from analysis.run.ledger import progress as read_progress
from analysis.run.run_data import RunData


def progress(run: RunData) -> Iterator[Drawing]:
    """Yield one figure if the ledger has measurements."""
    data = prepare(run)
    if data["best"].notna().any():
        hours = data["device_hours"].max()
        counted = (
            "Every epoch of every trial counts"
            if run.info.objective["at"] == "best"
            else "Only the last epoch of each trial counts"
        )
        yield charted(
            name="best_so_far",
            title=f"Best {metric_words(run.info.objective['metric'])[0]} so far",
            caption="The best value of the sweep so far against the device-hours spent "
            f"({hours:.3g} in total; device-hours are hours of training times the GPUs or CPU "
            f"cores in use). {counted}. Each point is the end of a trial. The best of many values "
            "is slightly too high, because it was selected.",
            chart=progress_chart(run, data),
        )


def prepare(run: RunData) -> pd.DataFrame:
    """Return `analysis.run.ledger.progress` in the units of the chart, with two more columns.

    ``number`` (of the trial) and ``ends`` (True at the last epoch of a trial).
    """
    data = read_progress(run)
    scale = metric_scale(run.info.objective["metric"])
    number = run.trials.set_index("trial_id")["number"]
    return data.assign(
        value=scale * data["value"],
        best=scale * data["best"],
        number=data["trial_id"].map(number).fillna(-1).astype(int),
        ends=~data["trial_id"].duplicated(keep="last"),
    )


def progress_chart(run: RunData, data: pd.DataFrame) -> Chart:
    """Draw the best value so far as steps, and each trial's last value as a point."""
    ends = data[data["ends"] & data["value"].notna()]
    panel = Panel(
        x=Axis(label="device-hours spent"),
        y=Axis(label=", ".join(filter(None, metric_words(run.info.objective["metric"])))),
        layers=(
            Layer(
                kind="points",
                label="a trial at its last epoch",
                x=float_array(ends["device_hours"]),
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
        x=float_array(shown["device_hours"]),
        y=float_array(shown["best"]),
        trials=shown["number"].to_numpy(int) if named else None,
        colour=colour,
        marker="",
        dash=dash,
    )
