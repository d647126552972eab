"""The figures of a report, by section. To add one, write it in its topic and add a line here."""

from collections.abc import Callable, Iterator, Mapping

from analysis.classes.confusions_figure import confused_pairs
from analysis.classes.figure import confusion
from analysis.classes.probabilities_figure import probabilities
from analysis.comparisons.figure import comparisons
from analysis.cost.figure import cost
from analysis.curves.agreement_figure import rank_agreement
from analysis.curves.figure import model_curves, overview
from analysis.curves.progress_figure import progress
from analysis.dataset.figure import dataset_figures
from analysis.dataset.mistakes_figure import mistakes
from analysis.dataset.suspects_figure import suspects
from analysis.drawing.drawing import Drawing
from analysis.effects.figure import effects
from analysis.effects.pairs_figure import pairs
from analysis.effects.parallel_figure import parallel
from analysis.folds.figure import folds
from analysis.run.run_data import RunData

FIGURES: Mapping[str, Callable[[RunData], Iterator[Drawing]]] = {
    "comparisons": comparisons,
    "cost": cost,
    "folds": folds,
    "effects": effects,
    "parallel": parallel,
    "pairs": pairs,
    "overview": overview,
    "agreement": rank_agreement,
    "progress": progress,
    "curves": model_curves,
    "confusion": confusion,
    "confused_pairs": confused_pairs,
    "probabilities": probabilities,
    "mistakes": mistakes,
    "suspects": suspects,
    "dataset": dataset_figures,
}
"""Section of the report → function that yields its figures, or none if they do not apply."""
