"""The table of replicated configurations: how much the accuracy varies between seeds."""

from analysis.comparisons.statistics import configuration_means
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View, number_text
from analysis.run.clusters import n_notes
from analysis.run.run_data import RunData
from analysis.run.trainings import fair_trainings, has_folds
from analysis.run.trials import fairly_trained, selected_finalists

PICKED = (
    "The trainings by which the finalists were picked do not count, because picking favours lucky "
    "ones."
)
"""Note of every table that excludes these trainings."""


def replicates(run: RunData) -> Table | None:
    """Return a row per configuration with at least two fair trainings; None if there is none.

    Returns None for k-fold runs too, because folds differ in their pictures; see the table of
    folds.

    Frame, sorted by mean, ties by number: ``name``, ``n`` (validation pictures), ``replicates``
    (number of `analysis.run.trials.fairly_trained`), ``accuracy`` (their mean, at the epoch that
    the objective selects) with its 95 % interval ``accuracy_low`` and ``accuracy_high``
    (`analysis.statistics.bootstrap.mean_intervals`), ``lowest``, ``highest``, ``deviation``
    (standard deviation between replicates, with n-1 in its denominator), ``configuration_id``.
    """
    if has_folds(run):
        return None
    trials = fairly_trained(run)
    frame = (
        trials.groupby("configuration_id", sort=False)
        .agg(
            name=("name", "first"),
            n=("n", "max"),
            replicates=("trial_id", "count"),
            accuracy=("accuracy", "mean"),
            lowest=("accuracy", "min"),
            highest=("accuracy", "max"),
            deviation=("accuracy", "std"),
        )
        .reset_index()
    )
    frame = frame[frame["replicates"] > 1]
    if frame.empty:
        return None
    intervals = configuration_means(run)[["accuracy_low", "accuracy_high"]]
    frame = frame.join(intervals, on="configuration_id")
    ascending = run.metric.sign < 0
    frame = frame.sort_values("accuracy", ascending=ascending, kind="stable", ignore_index=True)
    frame["configuration_id"] = frame.pop("configuration_id")
    text = run.metric.cells(supported(frame, "accuracy_low", "accuracy_high"))
    columns = (
        Column(key="name", heading="name"),
        Column(key="replicates", heading="replicates"),
        Column(key="accuracy", heading="mean accuracy", text=text),
        Column(key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=text),
        Column(key="lowest", heading="lowest", text=text),
        Column(key="highest", heading="highest", text=text),
        Column(key="deviation", heading="standard deviation", text=run.metric.cells(number_text)),
        Column(key="n", heading="n"),
    )
    known = fair_trainings(run).correct is not None
    return Table(
        name="replicates",
        frame=frame,
        views=(View(title="Configurations trained more than once", columns=columns),),
        notes=(
            *n_notes(run, "n: pictures in validation, the same for every replicate."),
            "Replicates differ only in the seed, so their standard deviation shows how much chance "
            "changes one training.",
            "95 % interval: of the mean, over other seeds"
            + (" and other pictures." if known else f", for {run.validation_words} only."),
            *([PICKED] if selected_finalists(run) else []),
        ),
    )
