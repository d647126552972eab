"""Learning curves: all trials in one figure with early stops marked, and each of the best alone."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.comparison import ranked
from analysis.figures.drawing import Drawing, file_stem
from analysis.figures.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    RULE,
    VERMILION,
    new_figure,
    whole_epochs,
)
from analysis.run_data import COMPARABLE, RunData
from tune.schema import Status

BEST_SHOWN = 12
"""Models that get curves and a confusion matrix of their own."""
ENDS = {
    Status.COMPLETED: (BLUE, None, "completed"),
    Status.EARLY_STOPPED: (ORANGE, "o", "stopped early"),
    Status.DIVERGED: (VERMILION, "X", "diverged"),
}
"""Status → colour, mark of the last epoch, words; other statuses are drawn as unfinished."""
FEW = 100
"""More curves of one status than this are drawn faint, and as pixels to keep the file small."""
UNFINISHED = (MUTED, "|", "not finished")


def overview(run: RunData) -> Iterator[Drawing]:
    """Yield the learning curves of all trials."""
    data = prepare(run)
    rungs = run.info.rungs
    drawn = data["trial_id"].nunique()
    where = " Dotted lines: rungs, where the scheduler compared trials." if rungs else ""
    yield Drawing(
        name="learning_curves",
        title="Learning curves of all trials",
        caption=f"Validation loss and accuracy of {drawn} trials after each epoch, "
        f"{n_words(run.trials['n'].max())}.{where} A mark at its end shows why a curve ends early.",
        draw=lambda: draw_overview(data, rungs),
    )


def best_models(run: RunData) -> list[dict[Any, Any]]:
    """Return the rows of the best `BEST_SHOWN` completed (then early-stopped) trials, in order."""
    order = ranked(run)
    return order[order["status"].isin(COMPARABLE)].head(BEST_SHOWN).to_dict("records")


def model_curves(run: RunData) -> Iterator[Drawing]:
    """Yield loss and accuracy on train and validation for each of the best models."""
    measurements = dict(iter(run.measurements.groupby("trial_id")))
    for trial in best_models(run):
        yield Drawing(
            name=file_stem(f"curves_{trial['name']}_trial{trial['number']}"),
            title=f"Learning of {trial['name']}, trial {trial['number']}",
            caption="Loss and accuracy after each epoch; the dot marks the best epoch. Validation: "
            f"{n_words(trial['n'])}. Training figures are measured while the weights still change.",
            draw=partial(draw_model, measurements[trial["trial_id"]], trial["best_epoch"]),
        )


def prepare(run: RunData) -> pd.DataFrame:
    """Return a row per trial and epoch, in that order.

    Columns: ``trial_id``, ``status``, ``epoch``, ``val_loss`` and ``val_accuracy`` (%).
    """
    status = run.trials.set_index("trial_id")["status"]
    data = run.measurements[["trial_id", "epoch", "val_loss", "val_accuracy"]]
    data = data.assign(status=data["trial_id"].map(status), val_accuracy=100 * data["val_accuracy"])
    return data.sort_values(["trial_id", "epoch"], ignore_index=True)


def draw_overview(data: pd.DataFrame, rungs: tuple[int, ...]) -> Figure:
    """Draw the curves of all trials, a colour per status."""
    figure, grid = new_figure(9.3, 3.5, columns=2)
    for axes, column, label in zip(
        grid[0],
        ("val_loss", "val_accuracy"),
        ("validation loss (cross-entropy)", "validation accuracy, %"),
        strict=True,
    ):
        ends = data["status"].map(lambda status: ENDS.get(Status(status), UNFINISHED))
        handles = [
            _family(axes, data[ends == end], column, *end)
            for end in (*ENDS.values(), UNFINISHED)
            if (ends == end).any()
        ]
        for rung in rungs:
            axes.axvline(rung, color=MUTED, linewidth=0.9, linestyle=":", zorder=0)
        axes.autoscale_view()
        axes.set_ylabel(label)
        whole_epochs(axes)
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


def draw_model(data: pd.DataFrame, best_epoch: int) -> Figure:
    """Draw loss and accuracy of one trial on train and validation."""
    figure, grid = new_figure(8.0, 3.3, columns=2)
    data = data.sort_values("epoch")
    for axes, what, unit, scale in zip(
        grid[0],
        ("loss", "accuracy"),
        ("loss (cross-entropy)", "accuracy, %"),
        (1, 100),
        strict=True,
    ):
        axes.axvline(best_epoch, color=RULE, linewidth=1.2, zorder=0)
        axes.plot(
            data["epoch"], scale * data[f"train_{what}"], "--", color=ORANGE, label="training"
        )
        axes.plot(data["epoch"], scale * data[f"val_{what}"], color=BLUE, label="validation")
        at_best = scale * data.loc[data["epoch"] == best_epoch, f"val_{what}"]
        axes.plot(
            [best_epoch] * len(at_best), at_best, "o", color=INK, markersize=4.5, label="best epoch"
        )
        axes.set_ylabel(unit)
        whole_epochs(axes)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def n_words(n: Any) -> str:
    """Write n, a number of pictures, or that it is not known."""
    return "n unknown" if pd.isna(n) else f"n = {n:,} pictures"


def _family(
    axes: Axes, rows: pd.DataFrame, column: str, colour: str, mark: str | None, words: str
) -> Line2D:
    """Draw the curves of one status and return what the legend shows for it."""
    curves = [curve[["epoch", column]].to_numpy(float) for _, curve in rows.groupby("trial_id")]
    few = len(curves) <= FEW
    lines = LineCollection(curves, colors=colour, linewidths=1.3, alpha=0.85 if few else 0.2)
    lines.set_rasterized(not few)
    axes.add_collection(lines)
    if mark:
        ends = rows.dropna(subset=[column]).drop_duplicates("trial_id", keep="last")
        axes.scatter(ends["epoch"], ends[column], s=30, marker=mark, color=colour, zorder=3)
    return Line2D([], [], color=colour, marker=mark, label=f"{words} ({len(curves)})")
