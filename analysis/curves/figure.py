"""Draws learning curves: one figure of all trials, and one figure for each of the best models."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted, file_stem
from analysis.drawing.style import BLUE, INK, MUTED, ORANGE, VERMILION
from analysis.rendering.words import first_upper
from analysis.run.metric import ACCURACY, Metric
from analysis.run.run_data import COMPARABLE, RunData
from analysis.run.trials import incumbent, ranked
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


LOSSES = ("val_loss", "loss")
"""Names of the validation loss, the first one that a run has."""
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
        caption=f"{_shown_words(run)} of {drawn:,} trials after each epoch{n_words(run)}.{where} "
        "The mark at the end of a curve shows why it ends early; the thick line is the incumbent.",
        chart=overview_chart(data, rungs, shown_metrics(run), int(incumbent(run)["number"])),
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
            caption=_model_words(run),
            chart=model_chart(data, trial["best_epoch"], shown_metrics(run)),
        )


def shown_metrics(run: RunData) -> tuple[Metric, ...]:
    """Return the metrics whose curves are drawn: the validation loss, and the reported metric."""
    loss = next((name for name in LOSSES if name in run.measurements), run.metric.name)
    if loss == run.metric.name:
        return (run.metric,)
    return (Metric(name=loss, sign=-1, is_share=False), run.metric)


def prepare(run: RunData) -> pd.DataFrame:
    """Return a row per trial and epoch, in that order.

    Columns: ``number`` (of the trial), ``status``, ``epoch``, and each of `shown_metrics` (shares
    in %).
    """
    facts = run.trials.set_index("trial_id")[["number", "status"]]
    metrics = shown_metrics(run)
    data = run.measurements[["trial_id", "epoch", *(metric.name for metric in metrics)]]
    scaled = {metric.name: metric.scale * data[metric.name] for metric in metrics}
    data = data.join(facts, on="trial_id").assign(**scaled)
    return data.drop(columns="trial_id").sort_values(["number", "epoch"], ignore_index=True)


def overview_chart(
    data: pd.DataFrame, rungs: tuple[int, ...], metrics: tuple[Metric, ...], winner: int
) -> Chart:
    """Draw the curves of all trials, in one style per status, and the winner's on top of them."""
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
            y=Axis(label=_label(metric, metrics)),
            layers=(
                *marks,
                *(_curves(rows, metric.name, style) for rows, style in groups),
                _winner(data[data["number"] == winner], metric.name),
            ),
        )
        for metric in metrics
    ]
    return Chart(panels=tuple(panels), panel_size=(4.6, 3.4))


def rungs_layer(rungs: tuple[int, ...]) -> Layer:
    """Return a dotted line at each epoch at which the scheduler compared trials."""
    at = np.array(rungs, float)
    return Layer(kind="rules", label="rung", x=at, y=at, colour=MUTED)


def model_chart(data: pd.DataFrame, best_epoch: int, metrics: tuple[Metric, ...]) -> Chart:
    """Draw the metrics of one trial, on training and validation data where both are known."""
    panels = []
    for metric in metrics:
        name, scale, what = metric.name, metric.scale, metric.name.removeprefix("val_")
        label = _label(metric, metrics).removeprefix("validation ")
        at_best = data[data["epoch"] == best_epoch]
        look: dict[str, Any] = {"kind": "line", "marker": ""}
        train = {"label": "training", "colour": ORANGE, "dash": "--"}
        best = {"label": "best epoch", "colour": INK, "size": 5.0}
        both = name.startswith("val_") and f"train_{what}" in data
        layers = (
            *([_series(data, f"train_{what}", scale, {**look, **train})] if both else []),
            _series(data, name, scale, {**look, "label": "validation", "colour": BLUE}),
            _series(at_best, name, scale, {"kind": "points", **best}),
        )
        panels.append(Panel(x=Axis(label="epoch", whole=True), y=Axis(label=label), layers=layers))
    return Chart(panels=tuple(panels), panel_size=(3.7, 3.0))


def _series(data: pd.DataFrame, column: str, scale: int, look: dict[str, Any]) -> Layer:
    return Layer(x=float_array(data["epoch"]), y=scale * float_array(data[column]), **look)


def n_words(run: RunData) -> str:
    """Return ``, n = … pictures``; empty if n is unknown."""
    n = run.trials["n"].max()
    return "" if pd.isna(n) else f", n = {n:,} pictures"


def _label(metric: Metric, metrics: tuple[Metric, ...]) -> str:
    ours = metrics[-1].name == ACCURACY and metric.name == "val_loss"
    return metric.axis + " (cross-entropy)" * ours


def _shown_words(run: RunData) -> str:
    first, *others = shown_metrics(run)
    return " and ".join([first_upper(first.long), *(metric.word for metric in others)])


def _model_words(run: RunData) -> str:
    words = [metric.long.removeprefix("validation ") for metric in shown_metrics(run)]
    what = first_upper(" and ".join(words))
    told = f"{what} after each epoch; the dot marks the best epoch."
    if run.has_pictures:
        told += f" Validation: {n_words(run).removeprefix(', ')}."
    if "train_loss" not in run.measurements:
        return told
    return (
        f"{told} Training {' and '.join(words)} are measured during the epoch, while the weights "
        "change."
    )


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
        alpha=0.5,
    )


def _winner(rows: pd.DataFrame, column: str) -> Layer:
    return Layer(
        kind="line",
        label="incumbent",
        x=float_array(rows["epoch"]),
        y=float_array(rows[column]),
        trials=rows["number"].to_numpy(int),
        colour=INK,
        marker="",
        width=3.0,
    )
