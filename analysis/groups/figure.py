"""Draws the accuracy of each group with its interval, and the accuracy before a retraining."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import BLUE, ORANGE
from analysis.rendering.table import AVERAGE, Table


def groups_figure(tables: Iterable[Table]) -> Iterator[Drawing]:
    """Yield one figure of the tables by group, if there are any."""
    frames = {table.name: table.frame for table in tables}
    if "bias_groups" not in frames:
        return
    now = _groups(frames["bias_groups"])
    then = frames.get("bias_groups_before")
    told = "" if then is None else " Hollow dots: before the retraining."
    yield charted(
        name="accuracy_by_group",
        title="Accuracy by group",
        caption="Accuracy of the model on each group of pictures, with its 95 % Wilson interval "
        f"and n.{told}",
        chart=groups_chart(now, None if then is None else _groups(then)),
    )


def groups_chart(now: pd.DataFrame, then: pd.DataFrame | None) -> Chart:
    """Draw a row per group, with the first on top."""
    names = tuple(f"{r.attribute}: {r.group} (n {r.n:,})" for r in now.itertuples())
    place = np.arange(len(now), dtype=float)
    layers = [
        Layer(
            kind="intervals",
            label="after" if then is not None else "",
            x=100 * float_array(now["accuracy"]),
            y=place,
            low=100 * float_array(now["accuracy_low"]),
            high=100 * float_array(now["accuracy_high"]),
            texts=names,
            colour=BLUE,
        )
    ]
    if then is not None:
        keys = ["attribute", "group"]
        both = now[keys].merge(then[[*keys, "accuracy"]], on=keys, how="left")
        shown = both["accuracy"].notna().to_numpy()
        layers.append(
            Layer(
                kind="points",
                label="before",
                x=100 * float_array(both["accuracy"])[shown],
                y=place[shown],
                texts=tuple(np.array(names)[shown].tolist()),
                colour=ORANGE,
                hollow=True,
            )
        )
    panel = Panel(
        x=Axis(label="accuracy, %"),
        y=Axis(label="", names=names, reversed=True),
        layers=tuple(layers),
    )
    return Chart(panels=(panel,), panel_size=(7.0, 0.28 * len(names) + 1.0))


def _groups(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["group"] != AVERAGE]
