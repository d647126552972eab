"""Draws learning curves: one figure of all trials, and one figure for each of the best models."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted, file_stem
from analysis.drawing.style import BLUE, INK, MUTED, ORANGE, VERMILION
from analysis.run.run_data import COMPARABLE, RunData
from analysis.run.trials import ranked
from tune.run.trial import Status

BEST_SHOWN = 12
"""Number of best models that get their own learning curves and confusion matrix."""


class StatusStyle(NamedTuple):
    """How the curves of trials with one status are drawn."""

    colour: str
    dash: Any
    marker: str
    """Marks the last epoch."""
    words: str
    """Name of the status in the legend."""


STYLES = {
    Status.COMPLETED: StatusStyle(BLUE, "-", "", "completed"),
    Status.EARLY_STOPPED: StatusStyle(ORANGE, "--", "o", "stopped early"),
    Status.DIVERGED: StatusStyle(VERMILION, "-.", "X", "diverged"),
}
UNFINISHED = StatusStyle(MUTED, ":", "|", "not finished")
"""The style of every other status."""


def overview(run: RunData) -> Iterator[Drawing]:
    """Yield the learning curves of all trials."""
    data = prepare(run)
    rungs = run.info.rungs
    drawn = data["number"].nunique()
    where = " Dotted lines: rungs, where the scheduler compared trials." if rungs else ""
    yield charted(
        name="learning_curves",
        title="Learning curves of all trials",
        caption=f"Validation loss and accuracy of {drawn:,} trials after each epoch, "
        f"{n_words(run.trials['n'].max())}.{where} The mark at the end of a curve shows why it "
        "ends early.",
        chart=overview_chart(data, rungs),
    )


def best_models(run: RunData) -> list[dict[Any, Any]]:
    """Return the rows of the best `BEST_SHOWN` completed (then early-stopped) trials, in order."""
    order = ranked(run)
    return order[order["status"].isin(COMPARABLE)].head(BEST_SHOWN).to_dict("records")


def model_curves(run: RunData) -> Iterator[Drawing]:
    """Yield loss and accuracy on train and validation for each of the best models."""
    measurements = dict(iter(run.measurements.groupby("trial_id")))
    for trial in best_models(run):
        data = measurements[trial["trial_id"]].sort_values("epoch")
        yield charted(
            name=file_stem(f"curves_{trial['name']}_trial{trial['number']}"),
            title=f"Learning of {trial['name']}, trial {trial['number']}",
            caption="Loss and accuracy after each epoch; the dot marks the best epoch. Validation: "
            f"{n_words(trial['n'])}. Training loss and accuracy are measured during the epoch, "
            "while the weights change.",
            chart=model_chart(data, trial["best_epoch"]),
        )


def prepare(run: RunData) -> pd.DataFrame:
    """Return a row per trial and epoch, in that order.

    Columns: ``number`` (of the trial), ``status``, ``epoch``, ``val_loss`` and ``val_accuracy``
    (%).
    """
    facts = run.trials.set_index("trial_id")[["number", "status"]]
    data = run.measurements[["trial_id", "epoch", "val_loss", "val_accuracy"]]
    data = data.join(facts, on="trial_id").assign(val_accuracy=100 * data["val_accuracy"])
    return data.drop(columns="trial_id").sort_values(["number", "epoch"], ignore_index=True)


def overview_chart(data: pd.DataFrame, rungs: tuple[int, ...]) -> Chart:
    """Draw the curves of all trials, in one style per status."""
    status_of = data["status"].map(lambda status: Status(status))
    groups = [
        (data[status_of == status], STYLES.get(status, UNFINISHED))
        for status in (*STYLES, *sorted(set(status_of) - set(STYLES)))
        if (status_of == status).any()
    ]
    marks = [rungs_layer(rungs)] if rungs else []
    panels = [
        Panel(
            x=Axis(label="epoch", whole=True),
            y=Axis(label=label),
            layers=(*marks, *(_curves(rows, column, style) for rows, style in groups)),
        )
        for column, label in (
            ("val_loss", "validation loss (cross-entropy)"),
            ("val_accuracy", "validation accuracy, %"),
        )
    ]
    return Chart(panels=tuple(panels), panel_size=(4.6, 3.4))


def rungs_layer(rungs: tuple[int, ...]) -> Layer:
    """Return a dotted line at each epoch at which the scheduler compared trials."""
    at = np.array(rungs, float)
    return Layer(kind="rules", label="rung", x=at, y=at, colour=MUTED)


def model_chart(data: pd.DataFrame, best_epoch: int) -> Chart:
    """Draw the training and validation loss and accuracy of one trial."""
    panels = []
    for what, label, scale in (
        ("loss", "loss (cross-entropy)", 1),
        ("accuracy", "accuracy, %", 100),
    ):
        at_best = data[data["epoch"] == best_epoch]
        look: dict[str, Any] = {"kind": "line", "marker": ""}
        train = {"label": "training", "colour": ORANGE, "dash": "--"}
        best = {"label": "best epoch", "colour": INK, "size": 5.0}
        layers = (
            _series(data, f"train_{what}", scale, {**look, **train}),
            _series(data, f"val_{what}", scale, {**look, "label": "validation", "colour": BLUE}),
            _series(at_best, f"val_{what}", scale, {"kind": "points", **best}),
        )
        panels.append(Panel(x=Axis(label="epoch", whole=True), y=Axis(label=label), layers=layers))
    return Chart(panels=tuple(panels), panel_size=(3.7, 3.0))


def _series(data: pd.DataFrame, column: str, scale: int, look: dict[str, Any]) -> Layer:
    return Layer(x=float_array(data["epoch"]), y=scale * float_array(data[column]), **look)


def n_words(n: Any) -> str:
    """Return ``n = … pictures``, or that n is unknown."""
    return "n unknown" if pd.isna(n) else f"n = {n:,} pictures"


def _curves(rows: pd.DataFrame, column: str, style: StatusStyle) -> Layer:
    """Return the curves of one status, without the epochs whose value is not finite."""
    known = rows[np.isfinite(float_array(rows[column]))]
    first = ~known["number"].duplicated()
    return Layer(
        kind="curves",
        label=f"{style.words} ({rows['number'].nunique():,})",
        x=float_array(known["epoch"]),
        y=float_array(known[column]),
        starts=np.flatnonzero(first),
        trials=known.loc[first, "number"].to_numpy(int),
        colour=style.colour,
        dash=style.dash,
        marker=style.marker,
        alpha=0.85,
    )
