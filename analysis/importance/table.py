"""The table of hyperparameter importances."""

from analysis.importance.statistics import MOST_CONFIGURATIONS, MOST_FOR_PED, importance
from analysis.rendering.digits import share_text
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import n_notes
from analysis.run.hyperparameters import words
from analysis.run.run_data import RunData


def importance_table(run: RunData) -> Table:
    """Return Optuna's importances: a row per hyperparameter, most important first.

    Frame: ``name`` (in words), ``n`` (validation pictures), ``configurations``, ``fanova`` and
    ``ped_anova`` of `analysis.importance.statistics.Importance`, ``hyperparameter``.

    Raises:
        NotKnownError: There are too few configurations, or no hyperparameter that all of them have.
    """
    found = importance(run)
    frame = found.frame.assign(
        name=found.frame["hyperparameter"].map(words),
        n=run.comparable["n"].max(),
        configurations=found.configurations,
    )
    frame = frame[["name", "n", "configurations", "fanova", "ped_anova", "hyperparameter"]]
    columns = (
        Column(key="name", heading="hyperparameter"),
        Column(key="fanova", heading="fANOVA", text=share_text),
        Column(key="ped_anova", heading="PED-ANOVA, best tenth", text=share_text),
        Column(key="configurations", heading="configurations"),
        Column(key="n", heading="n"),
    )
    notes = [
        *n_notes(run)[:1],
        *found.warnings,
        "fANOVA: share of the variance over the whole space; PED-ANOVA: share of the difference "
        "between the best tenth and the rest. Neither says which value is better.",
    ]
    if found.configurations > MOST_CONFIGURATIONS:
        notes.append(
            f"fANOVA was computed from {MOST_CONFIGURATIONS} configurations, drawn at random."
        )
    if found.configurations > MOST_FOR_PED:
        notes.append(f"PED-ANOVA was computed from {MOST_FOR_PED:,}, drawn in the same way.")
    if found.left_out:
        names = ", ".join(map(words, found.left_out))
        notes.append(f"Left out, because some configurations do not have them: {names}.")
    view = View(title="Importance of the hyperparameters", columns=columns)
    return Table(name="importance", frame=frame, views=(view,), notes=tuple(notes))
