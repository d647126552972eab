"""Draws how well the ranks of configurations after each epoch agree with their final ranks."""

from collections.abc import Iterator
from typing import Any

from analysis.curves.agreement import agreement
from analysis.curves.figure import rungs_layer
from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import BLUE, ORANGE
from analysis.run.run_data import RunData
from analysis.statistics.estimate import NotKnownError


def rank_agreement(run: RunData) -> Iterator[Drawing]:
    """Yield one figure; none if too few configurations were trained to the end."""
    try:
        frame = agreement(run)
    except NotKnownError:
        return
    rungs = run.info.rungs
    where = " Dotted lines: rungs, where the scheduler compared trials." if rungs else ""
    survived = (
        " Configurations that were stopped early have no final rank; those that survived differ "
        "less, so their ranks agree less than those of all would."
        if len(run.comparable) > len(run.completed)
        else ""
    )
    lines: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("spearman", "Spearman's ρ", {"kind": "band", "colour": BLUE}),
        ("kendall", "Kendall's τ", {"kind": "line", "colour": ORANGE, "dash": "--"}),
    )
    layers = [
        Layer(
            x=float_array(frame["epoch"]),
            y=float_array(frame[column]),
            low=float_array(frame["spearman_low"]) if column == "spearman" else None,
            high=float_array(frame["spearman_high"]) if column == "spearman" else None,
            label=label,
            marker="",
            **look,
        )
        for column, label, look in lines
    ]
    panel = Panel(
        x=Axis(label="epoch", whole=True),
        y=Axis(label="agreement with the final ranks"),
        layers=(*([rungs_layer(rungs)] if rungs else []), *layers),
    )
    yield charted(
        name="rank_agreement",
        title="How early the final order shows",
        caption=f"Agreement between the ranks of the {frame['configurations'].iloc[0]:,} "
        "configurations that were trained to the end after each epoch and their final ranks: 1 "
        "if they are the same, 0 if the early rank tells nothing. Band: 95 % interval of "
        f"Spearman's ρ.{where}{survived}",
        chart=Chart(panels=(panel,), panel_size=(6.3, 3.3)),
    )
