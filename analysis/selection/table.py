"""The table of the incumbent's accuracy on validation, corrected for selection, and on test."""

from analysis.folds.statistics import CORRECTED, fold_average
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import picture_notes
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
    accuracy = supported(frame, "accuracy_low", "accuracy_high")
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
    if fold_average(run) is not None:
        return (
            "n: pictures of all folds.",
            f"Averages over the folds; 95 % interval: {CORRECTED}.",
            "Picked from: configurations among which it was the best on average.",
            "The best epoch of each fold was picked on the pictures that judge it.",
        )
    openings = sum(openings_of_test(run).values())
    told = [
        "n: pictures of the split.",
        *picture_notes(run),
        "Picked from: trained models, early-stopped ones included, among which it was the best on "
        "the same pictures; where there are replicates, by the mean of a configuration.",
        "The corrected accuracy repeats the selection on drawn pictures and judges on the others "
        "(Tsamardinos et al. 2018); it does not correct for the selection of the best epoch.",
    ]
    if len(run.comparable) > len(run.completed) > 0:
        told.append(
            "A trial that was stopped early enters the repeats with its accuracy at that epoch "
            "plus what the completed trials gained after it."
        )
    told.append(
        f"The test split was opened {openings} time{'s' * (openings != 1)}."
        if openings
        else "The test split was not opened; `python -m tune test RUN` opens it for the incumbent."
    )
    return tuple(told)
