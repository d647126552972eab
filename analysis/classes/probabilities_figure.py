"""Draws how far the incumbent's probabilities can be trusted: reliability, precision and recall."""

from collections.abc import Iterator

import numpy as np

from analysis.classes.probabilities import Predicted, precision_and_recall, reliability, scores
from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import BLUE, MUTED, series_style, shortened
from analysis.run.run_data import RunData, read_shares
from analysis.run.trials import incumbent
from analysis.statistics.intervals import wilson_interval

SHOWN = 6
"""Maximum number of classes with a curve, those with the lowest average precision."""
MOST_POINTS = 150
"""Maximum number of points of a curve; of more, evenly spaced ones."""
LONGEST_NAME = 20


def probabilities(run: RunData) -> Iterator[Drawing]:
    """Yield one figure for the incumbent, if it has the probabilities of all classes."""
    best = incumbent(run)
    found = read_shares(run, str(best["trial_id"]))
    if found is None:
        return
    predicted = Predicted(*found[1:])
    classes = [place for place in range(len(run.info.classes)) if (found[1] == place).any()]
    which = f"the {SHOWN} classes with the lowest one" if len(classes) > SHOWN else "each class"
    yield charted(
        name="probabilities",
        title="How far to trust the probabilities of the incumbent: "
        f"{best['name']}, trial {best['number']}",
        caption="Left: share of right answers among pictures with about the same probability of "
        "the predicted class, with its 95 % interval (Wilson); on the dotted line, a model is as "
        f"often right as it is sure. Calibration error {100 * scores(predicted)['ece']:.1f} %. "
        f"Right: precision over recall of {which}, with the average precision. Validation, n = "
        f"{len(predicted.labels):,} pictures.",
        chart=Chart(
            panels=(_reliability(predicted), _curves(predicted, classes, run.info.classes)),
            panel_size=(4.6, 3.6),
        ),
    )


def _reliability(predicted: Predicted) -> Panel:
    bins = reliability(predicted)
    ends = wilson_interval(bins["right"], bins["n"].astype(float))
    diagonal = np.array([0.0, 100.0])
    return Panel(
        x=Axis(label="probability of the predicted class, %", limits=(0, 100)),
        y=Axis(label="share of right answers, %", limits=(0, 100)),
        layers=(
            Layer(kind="line", x=diagonal, y=diagonal, colour=MUTED, dash=":", marker=""),
            Layer(
                kind="line",
                x=100 * float_array(bins["confidence"]),
                y=100 * float_array(bins["right"]),
                low=100 * float_array(ends["accuracy_low"]),
                high=100 * float_array(ends["accuracy_high"]),
                texts=tuple(f"{n:,} pictures" for n in bins["n"]),
                colour=BLUE,
            ),
        ),
    )


def _curves(predicted: Predicted, classes: list[int], names: tuple[str, ...]) -> Panel:
    curves = [(precision_and_recall(predicted, place), names[place]) for place in classes]
    shown = sorted(curves, key=lambda curve: curve[0][2])[:SHOWN]
    layers = []
    for place, ((precision, recall, average), name) in enumerate(shown):
        few = np.unique(np.linspace(0, len(recall) - 1, MOST_POINTS).round().astype(int))
        label = f"{shortened(name, LONGEST_NAME)} ({average:.2f})"
        look = {**series_style(place), "marker": ""}
        x, y = 100 * recall[few], 100 * precision[few]
        layers.append(Layer(kind="line", label=label, x=x, y=y, **look))
    return Panel(
        x=Axis(label="recall, %", limits=(0, 100)),
        y=Axis(label="precision, %", limits=(0, 100)),
        layers=tuple(layers),
    )
