"""Accuracy by each searched hyperparameter: every trial and the mean of each level."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.comparison import accuracy_at_common_epoch, common_epoch
from analysis.figures.drawing import Drawing
from analysis.figures.style import BLUE, INK, PAPER, new_figure
from analysis.hyperparameters import followers, is_continuous, is_wide, levels, searched, words
from analysis.run_data import RunData
from tune.schema import Status

MOST_COLUMNS = 4


def effects(run: RunData) -> Iterator[Drawing]:
    """Yield one figure with a panel per hyperparameter."""
    names = searched(run)
    if names:
        data = prepare(run)
        yield Drawing(
            name="accuracy_by_hyperparameter",
            title="Accuracy by each hyperparameter",
            caption=f"{compared_words(run)} A point is a trial: filled if it completed, hollow if "
            "it was stopped early later on. Bars: means over configurations, replicates averaged "
            "first; numbers in brackets: trials.",
            draw=lambda: draw(data, {name: title(run, name) for name in names}),
        )


def prepare(run: RunData) -> pd.DataFrame:
    """Return a row per completed or early-stopped trial.

    Columns: every searched hyperparameter, ``configuration_id``, ``completed`` and ``accuracy``
    (validation, %, at the epoch that `analysis.comparison` compares at).
    """
    trials = accuracy_at_common_epoch(run)
    return trials[[*searched(run), "configuration_id"]].assign(
        completed=trials["status"] == Status.COMPLETED,
        accuracy=100 * trials["accuracy_at_epoch"],
    )


def draw(data: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Draw one panel for each hyperparameter in ``titles``."""
    rows = -(-len(titles) // MOST_COLUMNS)
    columns = -(-len(titles) // rows)
    figure, grid = new_figure(max(4.2, 9.3 / 4 * columns), 2.9 * rows, columns, rows)
    for axes, (name, label) in zip(grid.flat, titles.items(), strict=False):
        used = data[data[name].notna()]
        panel = _scatter if is_continuous(used[name]) else _strips
        panel(axes, used, name)
        axes.set_xlabel(label)
        axes.set_ylim(_limits(data["accuracy"]))
    for axes in grid.flat[len(titles) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("validation accuracy, %")
    for axes in grid[:, 1:].flat:
        axes.tick_params(labelleft=False)
    return figure


def compared_words(run: RunData) -> str:
    """Say in a sentence which accuracies are compared."""
    epoch = common_epoch(run)
    n = run.comparable["n"].max()
    pictures = f", n = {n:,} pictures" if not pd.isna(n) else ""
    picked = "at the best of the first" if run.info.objective["at"] == "best" else "after"
    return (
        f"Validation accuracy{pictures}, {picked} {epoch} epochs, which all "
        f"{len(run.comparable)} compared trials (completed or stopped early) were given."
    )


def title(run: RunData, name: str) -> str:
    """Name a hyperparameter together with those that are tied to it."""
    tied = followers(run, name)
    return words(name) + (f" (tied: {', '.join(words(each) for each in tied)})" if tied else "")


def spread(count: int, width: float) -> Any:
    """Return ``count`` x offsets side by side, at most ``width`` apart from end to end."""
    reach = min(width, 0.07 * (count - 1)) / 2
    return np.linspace(-reach, reach, count)


def _strips(axes: Axes, data: pd.DataFrame, name: str) -> None:
    level = levels(data[name])
    ticks = []
    for place, (text, rows) in enumerate(data.groupby(level, observed=True)):
        _points(axes, place + spread(len(rows), 0.5), rows)
        mean = rows.groupby("configuration_id")["accuracy"].mean().mean()
        axes.hlines(mean, place - 0.33, place + 0.33, color=INK, linewidth=2.2, zorder=4)
        ticks.append(f"{text}\n({len(rows)})")
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.6, len(ticks) - 0.4)


def _scatter(axes: Axes, data: pd.DataFrame, name: str) -> None:
    values = data[name].astype(float)
    _points(axes, values.to_numpy(), data)
    if is_wide(values):
        axes.set_xscale("log")


def _points(axes: Axes, x: Any, rows: pd.DataFrame) -> None:
    faces = [BLUE if completed else PAPER for completed in rows["completed"]]
    axes.scatter(x, rows["accuracy"], s=26, facecolors=faces, edgecolors=BLUE, linewidths=1.2)


def _limits(accuracy: "pd.Series[float]") -> tuple[float, float]:
    margin = max(0.5, 0.06 * (accuracy.max() - accuracy.min()))
    return accuracy.min() - margin, accuracy.max() + margin
