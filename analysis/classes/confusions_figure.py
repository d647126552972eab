"""Draws the pairs of classes that the incumbent confuses most, if there are many classes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.classes.confusions import confusions
from analysis.classes.figure import MOST_NUMBERED
from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import shortened
from analysis.run.clusters import read_clusters
from analysis.run.run_data import RunData, read_probabilities
from analysis.run.trials import incumbent

SHOWN = 20
LONGEST_NAME = 24
"""Characters of a class name that are shown."""


def confused_pairs(run: RunData) -> Iterator[Drawing]:
    """Yield one figure for the incumbent of a run with many classes, if it has predictions."""
    best = incumbent(run)
    answers = read_probabilities(run, str(best["trial_id"]))
    if len(run.info.classes) <= MOST_NUMBERED or answers is None:
        return
    clusters = read_clusters(run, answers["image_id"].tolist())
    shown = confusions(answers, run.info.classes, clusters, SHOWN)
    if not len(shown):
        return
    wrong = answers[answers["label"] != answers["predicted"]]
    kinds = len(wrong[["label", "predicted"]].drop_duplicates())
    share = shown["pictures"].sum() / len(wrong)
    yield charted(
        name="confused_pairs",
        title=f"What the incumbent confuses most: {best['name']}, trial {best['number']}",
        caption=f"The {len(shown)} most frequent of {kinds:,} kinds of mistakes (true class → "
        f"predicted class); they are {share:.0%} of all {len(wrong):,} mistakes on "
        f"{len(answers):,} validation pictures. Share of the true class, with its 95 % interval "
        "(Wilson); in brackets the number of pictures.",
        chart=_chart(shown),
    )


def _chart(shown: pd.DataFrame) -> Chart:
    names = [
        f"{shortened(str(row.true), LONGEST_NAME)} → {shortened(str(row.predicted), LONGEST_NAME)} "
        f"({row.pictures:,})"
        for row in shown.itertuples()
    ]
    layer = Layer(
        kind="intervals",
        x=100 * float_array(shown["share"]),
        y=np.arange(len(shown), dtype=float),
        low=100 * float_array(shown["share_low"]),
        high=100 * float_array(shown["share_high"]),
        texts=tuple(f"{row.pictures:,} of {row.n:,} {row.true}" for row in shown.itertuples()),
        size=6.0,
    )
    panel = Panel(
        x=Axis(label="share of the true class, %"),
        y=Axis(label="", names=tuple(names), reversed=True),
        layers=(layer,),
    )
    return Chart(panels=(panel,), panel_size=(7.4, 1.1 + 0.26 * max(3, len(shown))))
