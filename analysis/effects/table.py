"""Tables of effects: variance explained by each hyperparameter, and the mean at each level."""

from collections import Counter
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from analysis.effects.design import LEAST_SHARE, SMALL
from analysis.effects.statistics import effects, error_of, marginal_means
from analysis.folds.statistics import CORRECTED
from analysis.rendering.digits import fraction, p_text, share_text, signed, supported
from analysis.rendering.table import Column, Table, View
from analysis.rendering.words import status_words
from analysis.run.clusters import n_notes
from analysis.run.hyperparameters import (
    NOT_USED,
    followers,
    is_continuous,
    level_text,
    levels,
    searched,
    words,
)
from analysis.run.run_data import UNKNOWN, RunData, adaptive_words, add_replicates
from analysis.run.trainings import has_folds, trainings_at_common_epoch
from analysis.run.trials import accuracy_at_common_epoch, common_epoch, patience_words
from tune.run.trial import Status

ADJUSTED = (
    "p: adjusted for all effects (Holm), and doubled, because the report compares configurations "
    "too. This way, any false verdict in either table has a probability of about 5 %."
)


def effects_table(run: RunData) -> Table:
    """Return a row per term of the factorial model, with the share of variance it explains.

    Frame: ``name`` (the term in words, with tied hyperparameters); ``n`` (validation pictures);
    ``trainings``; ``epoch`` (at which they are compared); then ``df``, ``share``, ``f``,
    ``p_value``, ``p_adjusted``, ``verdict`` and ``detectable`` of
    `analysis.effects.factorial.factorial`.

    Raises:
        NotKnownError: No hyperparameter has two values, or only one configuration finished.
    """
    frame = effects(run)
    named = frame.assign(name=frame.pop("term").map(partial(_term_words, run)))
    frame = named.assign(
        n=run.comparable["n"].max(),
        trainings=len(accuracy_at_common_epoch(run)),
        epoch=common_epoch(run),
    )
    frame = frame[["name", "n", "trainings", "epoch", *named.columns.drop("name")]]
    columns = [
        Column(key="name", heading="effect of"),
        Column(key="df", heading="degrees of freedom"),
        Column(key="share", heading="variance explained", text=share_text),
        Column(key="f", heading="F", text=fraction(1)),
        Column(key="p_adjusted", heading="p (adjusted)", text=p_text),
        Column(key="verdict", heading="verdict"),
    ]
    if frame["detectable"].notna().any():
        columns.append(
            Column(key="detectable", heading="smallest shown", text=run.metric.cells(fraction(3)))
        )
    columns.append(Column(key="n", heading="n"))
    view = View(title="Effects of the hyperparameters", columns=tuple(columns))
    return Table(name="effects", frame=frame, views=(view,), notes=_effects_notes(run, frame))


def levels_table(run: RunData) -> Table:
    """Return a row per level of each hyperparameter, with its mean accuracy.

    Frame: ``name`` (hyperparameter and level), ``n`` (validation pictures), the columns of
    `analysis.effects.statistics.marginal_means` with ``accuracy`` for ``mean``, and ``excluded``
    (number of trials of the level that diverged, failed or did not fit).

    Raises:
        NotKnownError: No hyperparameter has two values, or only one configuration finished.
    """
    frame = marginal_means(run).rename(
        columns={"mean": "accuracy", "low": "accuracy_low", "high": "accuracy_high"}
    )
    names = frame["hyperparameter"].map(partial(_term_words, run)) + " = " + frame["level"]
    lost = {name: _excluded(run, name) for name in searched(run)}
    excluded = [
        lost[name].get(level, 0)
        for name, level in frame[["hyperparameter", "level"]].itertuples(index=False)
    ]
    frame = frame.assign(name=names, n=run.comparable["n"].max(), excluded=excluded)
    frame = frame[["name", "n", *frame.columns.drop(["name", "n"])]]
    cells = run.metric.cells
    accuracy = cells(supported(frame, "accuracy_low", "accuracy_high"))
    effect = signed(cells(supported(frame, "effect_low", "effect_high")))
    columns = (
        Column(key="name", heading="level"),
        Column(key="configurations", heading="configurations"),
        Column(key="trainings", heading="trainings"),
        *([Column(key="excluded", heading="excluded")] if len(run.excluded) else []),
        Column(key="accuracy", heading="mean accuracy", text=accuracy),
        Column(
            key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=accuracy
        ),
        Column(key="effect", heading="effect", text=effect),
        Column(
            key="effect_low",
            upper_key="effect_high",
            heading="95 % interval of the effect",
            text=effect,
        ),
        Column(key="n", heading="n"),
    )
    view = View(title="Mean accuracy at each level", columns=columns)
    return Table(name="levels", frame=frame, views=(view,), notes=_levels_notes(run, lost))


def _excluded(run: RunData, name: str) -> Mapping[str, int]:
    """Count the excluded trials by level of a hyperparameter."""
    values, kept = run.excluded[name], run.comparable[name]
    if is_continuous(kept):
        ends = kept.astype(float).groupby(levels(kept), observed=True).max().dropna()
        edges = [-np.inf, *ends.iloc[:-1], np.inf]
        texts = pd.cut(values.astype(float), edges, labels=list(ends.index)).astype(object)
        texts = texts.where(values.notna(), NOT_USED)
    else:
        texts = values.map(level_text)
    return Counter(texts)


def _term_words(run: RunData, term: str) -> str:
    names = term.split(" × ")
    return " × ".join(_with_followers(run, name) for name in names)


def _with_followers(run: RunData, name: str) -> str:
    tied = [words(each) for each in followers(run, name)]
    return words(name) + (f" (with {', '.join(tied)})" if tied else "")


def _common_notes(run: RunData) -> list[str]:
    told = [*n_notes(run), _epoch_note(run)]
    tied = [name for name in searched(run) if followers(run, name)]
    if tied:
        told.append(
            "Tied hyperparameters (with …) change together, so they are one effect; which of them "
            "causes it cannot be known."
        )
    if run.info.sampling == "adaptive":
        told.append(
            f"{adaptive_words(run)}, so means and shares do not represent the whole space."
            if run.info.searcher == UNKNOWN
            else f"The searcher {run.info.searcher} sampled adaptively, so means and shares do not "
            "represent the whole space."
        )
    if len(run.excluded):
        counts = run.excluded["status"].map(status_words).value_counts().sort_index()
        listed = ", ".join(f"{count} {status}" for status, count in counts.items())
        told.append(
            f"Excluded from all means: {listed}. A level at which trials fail looks as good as its "
            "remaining trials; the table of levels counts the excluded ones."
        )
    return told


def _epoch_note(run: RunData) -> str:
    epoch, count = common_epoch(run), len(accuracy_at_common_epoch(run))
    stopped = (run.trials["status"] == Status.EARLY_STOPPED).any()
    last = f", the most that all of them reached{patience_words(run)}" if stopped else ""
    late = len(run.comparable) - count
    after = f" {late:,} others were first measured later and are left out." if late else ""
    epochs = f"{epoch} epoch{'s' * (epoch != 1)}"
    trials = f"All {count:,} completed and early-stopped trials"
    return f"{trials} are compared after {epochs}{last}.{after}"


def _effects_notes(run: RunData, frame: pd.DataFrame) -> tuple[str, ...]:
    told = [*_common_notes(run), _error_note(run, frame)]
    if has_folds(run):
        told.append("Shares: of the variance of all values, seeds of a fold averaged.")
    else:
        told.append("Shares: sums of squares of type II about the mean (eta squared).")
    if frame["detectable"].notna().any():
        told.append(
            "Smallest shown: the smallest true difference between two levels that would have been "
            "shown with 80 % probability."
        )
    if frame["p_value"].notna().any():
        told.append(ADJUSTED)
    if (frame["verdict"] == SMALL).any():
        told.append(f"{SMALL}: an effect, of less than {100 * LEAST_SHARE:.1g} % of the variance.")
    if (frame["df"] == 0).any():
        told.append("0 degrees of freedom: too few configurations to separate it from the others.")
    return tuple(told)


def _error_note(run: RunData, frame: pd.DataFrame) -> str:
    """Return a sentence that says what the terms are tested against."""
    error = error_of(run)
    if error == "none":
        return (
            "No verdict: it is not known how configurations were chosen; if by earlier results, "
            "they are not a random sample on which a hyperparameter can be tested. Tell with "
            "--searcher of `python -m analysis import`."
            if run.info.searcher == UNKNOWN
            else f"No verdict: the searcher {run.info.searcher} chose configurations by earlier "
            "results, so they are not a random sample on which a hyperparameter can be tested."
        )
    if frame["p_value"].isna().all():
        few = error == "configurations"
        return (
            "No verdict: too few configurations to know how much they differ beyond the effects."
            if few
            else "No verdict: each configuration was trained once, so there is no error to judge "
            f"an effect by. To get one, {add_replicates(run)}."
        )
    what = {
        "configurations": "Error: differences between configurations beyond these effects",
        "replicates": "Error: differences between replicates of the same configuration",
    }[error]
    if has_folds(run):
        own = "" if error == "replicates" else f"{what}, and "
        return f"{own or 'Error: '}differences of an effect between folds, {CORRECTED}."
    known = trainings_at_common_epoch(run).correct is not None
    only = f"; for {run.validation_words} only."
    return what + (", and the choice of pictures." if known else only)


def _levels_notes(run: RunData, lost: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    gone = [
        f"{words(name)} = {level}"
        for name, counts in lost.items()
        for level in sorted(counts.keys() - set(levels(run.comparable[name])))
    ]
    told = [
        "Means are over configurations, the trainings of each averaged first.",
        "Effect: the mean minus that of all levels of the hyperparameter.",
        *([f"All trials excluded: {', '.join(gone)}."] if gone else []),
    ]
    if has_folds(run) and run.info.sampling != "adaptive":
        told.append(f"Intervals: over the folds, {CORRECTED}.")
    elif run.info.sampling == "adaptive":
        told.append(
            "No interval: configurations chosen by earlier results are not a random sample."
        )
    elif run.info.sampling != "every":
        known = trainings_at_common_epoch(run).correct is not None
        told.append(
            "Intervals: from the spread of the configurations drawn within a level"
            + (", and the choice of pictures." if known else f"; for {run.validation_words} only.")
        )
    elif not trainings_at_common_epoch(run).replicated:
        told.append(f"Without replicates there is no interval; to get one, {add_replicates(run)}.")
    return (*_common_notes(run), *told)
