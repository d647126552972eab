"""Draws the ranks of configurations across folds."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import series_style
from analysis.run.run_data import RunData

SHOWN = 12
"""Maximum number of configurations; those with the best mean ranks are drawn."""


def folds(run: RunData) -> Iterator[Drawing]:
    """Yield one figure if at least two configurations completed on at least two folds."""
    ranks = prepare(run)
    if ranks.shape[0] > 1 and ranks.shape[1] > 1:
        first = "most accurate" if run.metric.is_accuracy else "best"
        yield charted(
            name="ranks_across_folds",
            title="Ranks across folds",
            caption=f"Rank of each configuration by its {run.metric.long} on each of "
            f"{ranks.shape[1]} folds (1: {first}; ties share their mean rank), replicates "
            f"averaged first: {min(SHOWN, len(ranks))} of the {len(ranks)} configurations that "
            "completed on all of them, the best mean rank first. Where lines cross, the better "
            "one depends on the held-out pictures.",
            chart=ranks_chart(ranks, run.metric.long),
        )


def prepare(run: RunData) -> pd.DataFrame:
    """Return ranks by fold (columns) of the configurations that completed on all folds.

    The index has their names, best mean rank first. Empty if trials have no folds.
    """
    if "fold" not in run.completed:
        return pd.DataFrame()
    trials = run.completed[run.completed["fold"].notna()]
    column = run.value_column
    means: pd.DataFrame = (
        trials.groupby(["configuration_id", "fold"])[column].mean().unstack("fold").dropna()
    )
    ranks = means.rank(ascending=run.metric.sign < 0)
    names = trials.drop_duplicates("configuration_id").set_index("configuration_id")["name"]
    ordered = ranks.loc[ranks.mean(axis=1).sort_values(kind="stable").index]
    return ordered.rename(index=names.to_dict())


def ranks_chart(ranks: pd.DataFrame, metric: str) -> Chart:
    """Draw a line per configuration over the folds, with rank 1 on top."""
    names = tuple(f"fold {fold}" for fold in ranks.columns)
    layers = [
        Layer(
            kind="line",
            label=str(name),
            x=np.arange(len(names), dtype=float),
            y=float_array(row),
            texts=(str(name),) * len(names),
            **series_style(place),
        )
        for place, (name, row) in enumerate(ranks.head(SHOWN).iterrows())
    ]
    rank = Axis(label=f"rank by {metric}", whole=True, reversed=True)
    panel = Panel(x=Axis(label="", names=names), y=rank, layers=tuple(layers))
    return Chart(panels=(panel,), panel_size=(max(5.0, 0.8 * len(names) + 1.5), 3.8))
