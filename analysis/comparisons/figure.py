"""Draws the differences of all others from the incumbent, with intervals and verdicts."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.comparisons.names import incumbent_name, row_names
from analysis.comparisons.statistics import Comparisons, against_incumbent
from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import BLUE, GREEN, MUTED, ORANGE, VERMILION
from analysis.run.run_data import RunData
from analysis.statistics.estimate import NotKnownError
from analysis.statistics.verdicts import Verdict

SHOWN = 25
"""Maximum number of rows; the best ones are shown."""
LOOKS = {
    Verdict.BETTER: (GREEN, "^"),
    Verdict.WORSE: (VERMILION, "v"),
    Verdict.EQUIVALENT: (BLUE, "s"),
    Verdict.NOT_SHOWN: (ORANGE, "o"),
}
"""Verdict → colour and mark."""
BASES = {
    "configurations": "Configurations are compared by their replicates",
    "folds": "Configurations are compared over the folds that they share",
    "models": "Trained models are compared on the same pictures; other seeds may differ",
}


def comparisons(run: RunData) -> Iterator[Drawing]:
    """Yield one figure; none if the run has nothing to compare."""
    try:
        compared = against_incumbent(run)
    except NotKnownError:
        return
    unit = ", in percentage points" * run.metric.is_share
    equivalent = f"; equivalent means within {run.metric.gap(run.margin)}" if run.margin else ""
    yield charted(
        name="differences_from_incumbent",
        title="How far the others are from the incumbent",
        caption=f"{BASES[compared.basis]}: {run.metric.word} of each minus that of the "
        f"incumbent {incumbent_name(run, compared)}{unit}, with 95 % intervals that hold for "
        f"all together; the best {min(SHOWN, len(compared.frame))} of {len(compared.frame)} "
        f"others. Verdicts adjust for the number of comparisons (Holm){equivalent}.",
        chart=differences_chart(run, compared),
    )


def differences_chart(run: RunData, compared: Comparisons) -> Chart:
    """Draw a row with a point and an interval for each of the others, best ones on top."""
    shown = compared.frame.head(SHOWN).reset_index(drop=True)
    names = row_names(run, compared).loc[shown["id"]]
    layers = [
        _layer(rows, names, verdict, run.metric.scale)
        for verdict in LOOKS
        if len(rows := shown[shown["verdict"] == verdict])
    ]
    zero = Layer(
        kind="rules", label="the incumbent", x=np.zeros(1), y=np.zeros(1), colour=MUTED, marker=""
    )
    panel = Panel(
        x=Axis(label=run.metric.gap_axis),
        y=Axis(label="", names=tuple(names), reversed=True),
        layers=(zero, *layers),
    )
    return Chart(panels=(panel,), panel_size=(7.4, 1.1 + 0.26 * max(3, len(shown))))


def _layer(rows: pd.DataFrame, names: "pd.Series[str]", verdict: Verdict, scale: int) -> Layer:
    colour, marker = LOOKS[verdict]
    return Layer(
        kind="intervals",
        label=str(verdict),
        x=scale * float_array(rows["difference"]),
        y=rows.index.to_numpy(float),
        low=scale * float_array(rows["difference_low"]),
        high=scale * float_array(rows["difference_high"]),
        texts=tuple(f"{names.iloc[row]}: {verdict}" for row in rows.index),
        colour=colour,
        marker=marker,
        size=6.0,
    )
