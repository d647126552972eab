"""Importance of the hyperparameters of a sweep that no grid lays out."""

from analysis.importance.statistics import MOST_CONFIGURATIONS, importance
from analysis.rendering.digits import share_text
from analysis.rendering.table import Column, Table, View
from analysis.run.hyperparameters import words
from analysis.run.run_data import RunData


def importance_table(run: RunData) -> Table:
    """Show Optuna's importances: a row per hyperparameter, the most important first.

    Frame: ``name`` (in words), ``n`` (validation pictures), ``configurations``, ``fanova`` and
    ``ped_anova`` of `analysis.importance.statistics.Importance`, ``hyperparameter``.

    Raises:
        NotKnownError: Too few configurations, or no hyperparameter that all of them have.
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
        "n: pictures in validation.",
        *found.warnings,
        "fANOVA: share of the variance over the whole space; PED-ANOVA: of what sets the best "
        "tenth apart. Neither says which value is better.",
    ]
    if found.configurations > MOST_CONFIGURATIONS:
        notes.append(f"fANOVA learned from {MOST_CONFIGURATIONS} of them, drawn at random.")
    if found.left_out:
        told = ", ".join(map(words, found.left_out))
        notes.append(f"Left out, as not every configuration has them: {told}.")
    view = View(title="Importance of the hyperparameters", columns=columns)
    return Table(name="importance", frame=frame, views=(view,), notes=tuple(notes))
