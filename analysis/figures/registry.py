"""The figures of a report, by section. A new one is a file beside this one and a line here."""

from collections.abc import Callable, Iterator, Mapping

from analysis.figures.comparisons import comparisons
from analysis.figures.confusion import confusion
from analysis.figures.cost import cost
from analysis.figures.curves import model_curves, overview
from analysis.figures.dataset import dataset_figures
from analysis.figures.drawing import Drawing
from analysis.figures.effects import effects
from analysis.figures.folds import folds
from analysis.figures.mistakes import mistakes
from analysis.figures.pairs import pairs
from analysis.figures.parallel import parallel
from analysis.figures.progress import progress
from analysis.run_data import RunData

FIGURES: Mapping[str, Callable[[RunData], Iterator[Drawing]]] = {
    "comparisons": comparisons,
    "cost": cost,
    "folds": folds,
    "effects": effects,
    "parallel": parallel,
    "pairs": pairs,
    "overview": overview,
    "progress": progress,
    "curves": model_curves,
    "confusion": confusion,
    "mistakes": mistakes,
    "dataset": dataset_figures,
}
"""Section of the report → its figures, none where the run has nothing for it."""
