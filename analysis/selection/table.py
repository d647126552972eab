"""The table of the incumbent's accuracy on validation, corrected for selection, and on test."""

from analysis.folds.statistics import CORRECTED, fold_average
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import n_notes
from analysis.run.run_data import RunData
from analysis.run.trials import incumbent
from analysis.selection.statistics import openings_of_test, selection

WORDS = {
    "best epoch": "validation, best epoch",
    "last epoch": "validation, last epoch",
    "corrected": "validation, corrected for picking the best model",
    "test": "test",
}


def selection_table(run: RunData) -> Table:
    """Return a row per estimate of the incumbent's accuracy, most optimistic first.

    Frame: ``name`` (what the accuracy is measured on), ``n`` (pictures) and the other columns of
    `analysis.selection.statistics.selection`.
    """
    frame = selection(run)
    frame = frame.assign(name=frame["estimate"].map(WORDS))
    frame = frame[["name", "n", *frame.columns.drop(["name", "n"])]]
    accuracy = run.metric.cells(supported(frame, "accuracy_low", "accuracy_high"))
    columns = (
        Column(key="name", heading="accuracy on"),
        Column(key="accuracy", heading="accuracy", text=accuracy),
        Column(
            key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=accuracy
        ),
        Column(key="models", heading="picked from"),
        Column(key="n", heading="n"),
    )
    average = fold_average(run)
    name = incumbent(run)["name"] if average is None else average.name
    view = View(title=f"What to expect of {name}", columns=columns)
    return Table(name="selection", frame=frame, views=(view,), notes=_notes(run))


def _notes(run: RunData) -> tuple[str, ...]:
    on = "pictures" if run.has_pictures else "data"
    if fold_average(run) is not None:
        return (
            *(["n: pictures of all folds."] if run.has_pictures else n_notes(run)),
            f"Averages over the folds; 95 % interval: {CORRECTED}.",
            "Picked from: configurations among which it was the best on average.",
            f"The best epoch of each fold was picked on the {on} that judge it.",
        )
    openings = sum(openings_of_test(run).values())
    told = [
        *n_notes(run, "n: pictures of the split."),
        "Picked from: trained models, early-stopped ones included, among which it was the best on "
        f"the same {on}; where there are replicates, by the mean of a configuration.",
    ]
    if not (run.has_pictures and run.metric.is_accuracy):
        needed = (
            "an accuracy as objective" if run.has_pictures else "predictions on single pictures"
        )
        told.append(
            f"Not known: the {run.metric.word} corrected for its selection; needs {needed}."
        )
        return (*told, *([] if run.imported else [_test_words(openings)]))
    told.append(
        "The corrected accuracy repeats the selection on drawn pictures and judges on the others "
        "(Tsamardinos et al. 2018); it does not correct for the selection of the best epoch."
    )
    if len(run.comparable) > len(run.completed) > 0:
        told.append(
            "A trial that was stopped early enters the repeats with its accuracy at that epoch "
            "plus what the completed trials gained after it."
        )
    return (*told, _test_words(openings))


def _test_words(openings: int) -> str:
    if openings:
        return f"The test split was opened {openings} time{'s' * (openings != 1)}."
    return "The test split was not opened; `python -m tune test RUN` opens it for the incumbent."
