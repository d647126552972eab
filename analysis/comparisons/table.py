"""The table that compares all fully trained configurations with the incumbent."""

import pandas as pd

from analysis.comparisons.replicates_table import PICKED
from analysis.comparisons.statistics import Comparisons, against_incumbent
from analysis.rendering.digits import p_text, signed, supported
from analysis.rendering.table import Column, Table, View
from analysis.rendering.words import INCUMBENT
from analysis.run.clusters import n_notes
from analysis.run.metric import Metric
from analysis.run.run_data import RunData, add_replicates
from analysis.run.trials import selected_finalists


def comparisons(run: RunData) -> Table:
    """Return a row for the incumbent, followed by a row for each of the others, best ones first.

    Frame: ``name``; ``n`` (validation pictures); ``trainings`` (number that counts); ``accuracy``
    (their mean, at the epoch that the objective selects) with its 95 % interval ``accuracy_low``
    and ``accuracy_high``; ``difference`` from the incumbent with ``difference_low``,
    ``difference_high``, ``p_value``, ``p_adjusted``, ``p_equivalent``, ``verdict`` and
    ``detectable`` as in `analysis.comparisons.against`; ``basis``; ``trial_id``,
    ``configuration_id``.

    Raises:
        NotKnownError: The run has nothing to compare.
    """
    found = against_incumbent(run)
    frame = _frame(run, found)
    what = "as trained models" if found.basis == "models" else "as configurations"
    view = View(
        title=f"The others against the incumbent, {what}", columns=_columns(frame, run.metric)
    )
    return Table(name="comparisons", frame=frame, views=(view,), notes=_notes(run, found))


def basis_note(run: RunData, found: Comparisons) -> str:
    """Return a sentence that says what is compared, and what the results apply to."""
    if found.basis == "folds":
        return (
            "Configurations are compared over folds by the corrected resampled t-test (Nadeau and "
            "Bengio 2003)."
        )
    if found.basis == "models":
        return (
            "The verdicts hold only for these trainings; with another seed they may be reversed. "
            f"To judge configurations, {add_replicates(run)}."
        )
    over = "Configurations are compared over their replicates"
    if found.on_pictures:
        return f"{over} and over the pictures: verdicts hold for other seeds and other pictures."
    why = (
        "predictions of the compared epoch are missing"
        if run.has_pictures or run.knows_dataset
        else "there are no predictions on single pictures"
    )
    only = f"only for {run.validation_words}, because {why}"
    return f"{over}: verdicts hold for other seeds, but {only}."


def _frame(run: RunData, found: Comparisons) -> pd.DataFrame:
    order = [found.reference, *found.frame["id"]]
    means = found.means.loc[order].rename_axis("id").reset_index()
    trials = run.trials.set_index("trial_id")[["name", "n", "configuration_id"]]
    joined = means.join(trials, on="trial_id").merge(found.frame, on="id", how="left")
    joined["verdict"] = joined["verdict"].fillna(INCUMBENT)
    keys = ["name", "n", "trainings", "accuracy", "accuracy_low", "accuracy_high", "difference"]
    keys += ["difference_low", "difference_high", "p_value", "p_adjusted", "p_equivalent"]
    keys += ["verdict", "detectable"]
    return joined[keys].assign(
        basis=found.basis, trial_id=joined["trial_id"], configuration_id=joined["configuration_id"]
    )


def _columns(frame: pd.DataFrame, metric: Metric) -> tuple[Column, ...]:
    accuracy = metric.cells(supported(frame, "accuracy_low", "accuracy_high"))
    difference = signed(metric.cells(supported(frame, "difference_low", "difference_high")))
    return (
        Column(key="name", heading="name"),
        Column(key="trainings", heading="trainings"),
        Column(key="accuracy", heading="accuracy", text=accuracy),
        Column(
            key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=accuracy
        ),
        Column(key="difference", heading="difference", text=difference),
        Column(
            key="difference_low",
            upper_key="difference_high",
            heading="95 % interval of all",
            text=difference,
        ),
        Column(key="p_adjusted", heading="p (Holm)", text=p_text),
        Column(key="verdict", heading="verdict"),
        Column(key="detectable", heading="smallest shown", text=accuracy),
        Column(key="n", heading="n"),
    )


def _notes(run: RunData, found: Comparisons) -> tuple[str, ...]:
    pairs = f"{found.candidates} candidates"
    told = [
        *n_notes(run),
        basis_note(run, found),
        *(["p: McNemar's exact test; intervals: paired bootstrap."] * (found.basis == "models")),
        "Verdict: of the row against the incumbent. p and the intervals of differences are "
        f"adjusted for all pairs of the {pairs}, because the incumbent was picked by the same "
        f"{'accuracies' if run.metric.is_accuracy else 'values'}.",
        f"Equivalent: shown to differ by less than {run.metric.gap(run.margin)} (two one-sided "
        "tests at 5 %, adjusted in the same way); --margin sets another limit."
        if run.margin
        else "Nothing is called equivalent, because it is not known which difference in "
        f"{run.metric.word} is small; --margin sets a limit.",
        "Smallest shown: the smallest true difference that would have been shown with 80 % "
        "probability.",
    ]
    if selected_finalists(run):
        told.append(PICKED)
    left = found.candidates - len(found.means)
    return (*told, f"The best {len(found.means)} are shown.") if left > 0 else tuple(told)
