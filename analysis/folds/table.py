"""The table of configurations over folds, with averages over classes."""

import numpy as np
import pandas as pd

from analysis.classes.averages import AVERAGES, repeated_notes, shown_averages
from analysis.folds.statistics import CORRECTED, fold_means, held_out_ratio, pictures_of_folds
from analysis.rendering.digits import supported
from analysis.rendering.table import AVERAGE, Column, Table, View, number_text
from analysis.rendering.words import SCORES
from analysis.run.clusters import n_notes, single_intervals
from analysis.run.run_data import RunData
from analysis.run.trainings import folds_in_a_repeat, has_folds
from analysis.run.trials import fairly_trained
from analysis.statistics.estimate import NotKnownError


def folds(run: RunData) -> Table:
    """Return a row per configuration and fold, averaged over seeds, and a row for each average.

    Frame: ``name``, ``repeat`` (number of the split into folds, from 0; missing for the average),
    ``fold`` (a number as text, or `AVERAGE`), ``n`` (validation pictures of the fold, or of all
    folds), ``accuracy``, its 95 % interval ``accuracy_low`` and ``accuracy_high`` (Wilson's for a
    fold, missing for an average of several seeds), ``macro_*`` and ``micro_*`` recall, precision
    and f1, ``configuration_id``.

    Raises:
        NotKnownError: The run is not a k-fold run.
    """
    if not has_folds(run):
        raise NotKnownError(f"{run.name} was not trained on folds; `python -m tune kfold` does it")
    trials = fairly_trained(run)
    parts = [_configuration(run, own) for _, own in trials.groupby("configuration_id", sort=False)]
    frame = pd.concat(parts, ignore_index=True)
    views = tuple(
        View(title=f"Folds, {average} averages", columns=_columns(run, frame, average))
        for average in shown_averages(frame)
    ) or (View(title="Folds", columns=_columns(run, frame, "")),)
    of_fold = (
        "95 % interval of a fold: Wilson, for the one network trained for it; it does not cover "
        f"another seed. Of the average: {CORRECTED}."
    )
    notes = (
        *n_notes(
            run,
            "n: pictures of the fold, on which the network trained on the other folds is judged.",
        ),
        of_fold if run.has_pictures else f"95 % interval: of the average, {CORRECTED}.",
        *repeated_notes(frame),
    )
    return Table(name="folds", frame=frame, views=views, notes=notes)


def _configuration(run: RunData, trials: pd.DataFrame) -> pd.DataFrame:
    at = run.info.objective["at"]
    scores = {
        f"{average}_{score}": f"{at}_val_{average}_{score}"
        for average in AVERAGES
        for score in SCORES
        if f"{at}_val_{average}_{score}" in trials
    }
    columns = {"n": "n", "accuracy": "accuracy", **scores}
    of_fold = trials.groupby("fold")
    per_fold = of_fold[list(columns.values())].mean().set_axis([*columns], axis=1)
    per_fold["n"] = of_fold["n"].max()
    count = folds_in_a_repeat(run)
    repeats = per_fold.index.to_series() // count
    average = per_fold.mean().to_frame().T.assign(n=pictures_of_folds(run, trials))
    of_one_network = per_fold["accuracy"].where(of_fold.size() == 1)
    per_fold = per_fold.join(single_intervals(run, of_one_network, per_fold))
    interval = fold_means(trials, held_out_ratio(run)).filter(["accuracy_low", "accuracy_high"])
    average[["accuracy_low", "accuracy_high"]] = (
        interval.to_numpy() if len(interval) else [[np.nan, np.nan]]
    )
    per_fold = per_fold.assign(repeat=repeats).rename(index=lambda fold: str(fold % count))
    rows = pd.concat([per_fold, average.set_axis([AVERAGE])])
    rows = rows.rename_axis("fold").reset_index().astype({"n": "Int64", "repeat": "Int64"})
    rows.insert(0, "name", trials["name"].iloc[0])
    keys = ["name", "repeat", "fold", "n", "accuracy", "accuracy_low", "accuracy_high", *scores]
    return rows[keys].assign(configuration_id=trials["configuration_id"].iloc[0])


def _columns(run: RunData, frame: pd.DataFrame, average: str) -> tuple[Column, ...]:
    known = frame["accuracy_low"].notna().any()
    text = run.metric.cells(
        supported(frame, "accuracy_low", "accuracy_high") if known else number_text
    )
    return (
        Column(key="name", heading="name"),
        *([Column(key="repeat", heading="repeat")] if frame["repeat"].nunique() > 1 else []),
        Column(key="fold", heading="fold"),
        Column(key="accuracy", heading="accuracy", text=text),
        Column(key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=text),
        *(
            Column(key=f"{average}_{score}", heading=word, text=text)
            for score, word in SCORES.items()
            if f"{average}_{score}" in frame
        ),
        Column(key="n", heading="n"),
    )
