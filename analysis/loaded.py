"""A run in Python: its trials, tables and figures under stable names."""

import difflib
import typing
from collections.abc import Iterable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.drawing.drawing import Drawing
from analysis.drawing.style import RC
from analysis.rendering.table import Table
from analysis.report.figures import FIGURES
from analysis.report.tables import NAMED, TABLES, by
from analysis.run.run_data import RunData, read_probabilities
from analysis.statistics.estimate import NotKnownError
from fairsweep.errors import UserError

TableName = Literal[
    "models",
    "best",
    "comparisons",
    "selection",
    "ensemble",
    "effects",
    "levels",
    "importance",
    "folds",
    "classes",
    "confusions",
    "probabilities",
    "suspects",
    "replicates",
    "incomplete",
    "latency",
]
"""Names of tables."""
FigureName = Literal[
    "comparisons",
    "cost",
    "folds",
    "effects",
    "parallel",
    "pairs",
    "overview",
    "agreement",
    "progress",
    "curves",
    "confusion",
    "confused_pairs",
    "probabilities",
    "mistakes",
    "suspects",
    "dataset",
]
"""Names of figures; ``pairs``, ``curves``, ``confusion``, ``mistakes`` and ``dataset`` are several
figures each."""
Split = Literal["val", "test"]
_STYLE: Any = RC


class Run:
    """A run that was read from its directory; `analysis.load` returns it."""

    def __init__(self, data: RunData) -> None:
        self._data = data

    def __repr__(self) -> str:
        """Return the name, the number of trials and the objective."""
        objective = self._data.info.objective
        return (
            f"<run {self.name}: {len(self._data.trials):,} trials, {objective['mode']} "
            f"{objective['metric']} at the {objective['at']} epoch>"
        )

    @property
    def name(self) -> str:
        """Name of the run directory."""
        return self._data.name

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._data.path

    @property
    def trials(self) -> pd.DataFrame:
        """A row per trial: the columns of ``trials.parquet``, and ``n`` (validation pictures)."""
        return self._data.trials.copy()

    @property
    def measurements(self) -> pd.DataFrame:
        """A row per trial and epoch: the columns of ``measurements.parquet``."""
        return self._data.measurements.copy()

    def predictions(self, trial: int | str, split: Split = "val") -> pd.DataFrame:
        """Return a trial's predictions.

        Args:
            trial: Number, id or name of the trial.
            split: The split of the pictures.

        Returns:
            A row per picture: ``image_id``, ``label`` and ``predicted`` (classes), ``probability``
            (of the predicted class).

        Raises:
            NotKnownError: The trial has no predictions of the split.
            UserError: There is no such trial, or several with this name.
        """
        row = self._find(trial)
        answers = read_probabilities(self._data, str(row["trial_id"]), split)
        if answers is None:
            raise NotKnownError(f"trial {trial} of {self.name} has no predictions on {split}")
        classes = dict(enumerate(self._data.info.classes))
        names = {name: answers[name].map(classes) for name in ("label", "predicted")}
        return answers.assign(**names)

    def table(self, name: TableName) -> pd.DataFrame:
        """Return a table with full precision.

        ``frame.attrs`` holds its ``title`` and ``notes``, which say how to read it.

        Raises:
            NotKnownError: The run has too little data for it; the message says what is missing.
            UserError: There is no such table.
        """
        _check("table", name, typing.get_args(TableName))
        if name in NAMED:
            return _frame(NAMED[name](self._data))
        made = next(iter(TABLES[name](self._data)), None)
        if made is None:
            raise NotKnownError(f"the table {name} does not apply to {self.name}")
        return _frame(made)

    def by(self, hyperparameter: str) -> pd.DataFrame:
        """Return the table by the values of a hyperparameter, as `table` does."""
        return _frame(by(self._data, hyperparameter))

    def figure(self, name: FigureName) -> Figure:
        """Return the first of `figures`; it shows in a notebook.

        Raises:
            NotKnownError: The figure does not apply to the run.
            UserError: There is no such figure, or it needs the dataset, which is missing.
        """
        drawing = next(self._drawings(name), None)
        if drawing is None:
            raise NotKnownError(f"the figure {name} does not apply to {self.name}")
        return _figure(drawing)

    def figures(self, name: FigureName) -> list[Figure]:
        """Return all figures of this name, which may be none."""
        return [_figure(drawing) for drawing in self._drawings(name)]

    def _drawings(self, name: FigureName) -> typing.Iterator[Drawing]:
        _check("figure", name, typing.get_args(FigureName))
        return FIGURES[name](self._data)

    def _find(self, trial: int | str) -> "pd.Series[Any]":
        trials, text = self._data.trials, str(trial)
        keys = ("trial_id", "number", "name")
        found = trials[
            pd.concat([trials[key].astype(str) == text for key in keys], axis=1).any(axis=1)
        ]
        if len(found) != 1:
            what = "no trial" if found.empty else f"{len(found)} trials"
            raise UserError(f"{self.name} has {what} {text}; give a number of run.trials")
        return found.iloc[0]


def _check(kind: str, name: str, names: Iterable[str]) -> None:
    known = list(names)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
        raise UserError(f"there is no {kind} {name!r}; {hint}")


def _frame(table: Table) -> pd.DataFrame:
    frame = table.frame.copy()
    frame.attrs = {"title": table.views[0].title, "notes": list(table.notes)}
    return frame


def _figure(drawing: Drawing) -> Figure:
    with mpl.rc_context(_STYLE):
        figure = drawing.draw()
    figure.set_label(drawing.title)
    # Notebooks look for this on an object that they have no other way to show.
    setattr(figure, "_repr_png_", partial(_png, figure))  # noqa: B010
    return figure


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    with mpl.rc_context(_STYLE):
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(file)
    return file.getvalue()
