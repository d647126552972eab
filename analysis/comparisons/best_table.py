"""The table of configurations that are not distinguishable from the best one."""

from functools import lru_cache

import pandas as pd

from analysis.comparisons.best import Standing, with_the_best
from analysis.comparisons.names import row_names
from analysis.comparisons.replicates_table import PICKED
from analysis.comparisons.statistics import MOST_MODELS, against_incumbent, as_measured
from analysis.comparisons.table import basis_note
from analysis.cost.latency_table import with_latency
from analysis.rendering.digits import signed, supported
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import n_notes
from analysis.run.hyperparameters import level_text, searched, words
from analysis.run.metric import Metric
from analysis.run.run_data import RunData
from analysis.run.trials import selected_finalists


@lru_cache(maxsize=4)  # the table and the summary ask for it
def against_best(run: RunData) -> pd.DataFrame:
    """Compare the `MOST_MODELS` most accurate candidates, each with the best of the others.

    Returns:
        The frame of `analysis.comparisons.best.with_the_best`, best ones first.

    Raises:
        NotKnownError: The run has nothing to compare.
    """
    compared = against_incumbent(run)
    better = run.metric.sign * compared.means["accuracy"]
    order = better.sort_values(ascending=False, kind="stable").index
    pairs = compared.pairs(list(map(str, order[:MOST_MODELS])))
    found = with_the_best(
        pairs,
        run.margin,
        unseen=compared.candidates - len(pairs.ids),
        pictures=compared.pictures,
    ).sort_values("difference", ascending=False, kind="stable", ignore_index=True)
    return as_measured(run, found)


def best(run: RunData) -> Table:
    """Return a row per configuration or trained model, with its difference from the best other one.

    Frame, best ones first: ``name`` (with a trial number where two are equal); ``n`` (validation
    pictures); ``trainings`` (number that counts); ``accuracy`` (their mean, at the epoch that the
    objective selects) with its 95 % interval ``accuracy_low`` and ``accuracy_high``;
    ``difference`` with ``difference_low``, ``difference_high`` and ``verdict`` of
    `analysis.comparisons.best.with_the_best`; ``basis``; ``trial_id``, ``configuration_id``; every
    searched hyperparameter; ``weights_bytes`` and ``p50_1`` of `tune.run.latency.NetworkLatency`,
    if they were measured.

    Raises:
        NotKnownError: The run has nothing to compare.
    """
    compared, found = against_incumbent(run), against_best(run)
    shown = searched(run)
    trials = run.trials.set_index("trial_id")[["name", "n", "configuration_id", *shown]]
    joined = found.join(compared.means, on="id").join(trials, on="trial_id")
    joined["name"] = row_names(run, compared).loc[joined["id"]].to_numpy()
    accuracy = ["accuracy", "accuracy_low", "accuracy_high"]
    keys = ["name", "n", "trainings", *accuracy, *found.columns.drop("id")]
    frame = joined[keys].assign(basis=compared.basis)
    frame = frame.join(joined[["trial_id", "configuration_id", *shown]])
    what = "models" if compared.basis == "models" else "configurations"
    title = f"Which {what} cannot be told from the best"
    frame, costs = with_latency(run, frame)
    *columns, n = _columns(frame, run.metric, shown)
    view = View(title=title, columns=(*columns, *costs, n))
    return Table(name="best", frame=frame, views=(view,), notes=_notes(run, frame))


def _columns(frame: pd.DataFrame, metric: Metric, shown: list[str]) -> tuple[Column, ...]:
    accuracy = metric.cells(supported(frame, "difference_low", "difference_high"))
    apart = signed(accuracy)
    return (
        Column(key="name", heading="name"),
        Column(key="verdict", heading="verdict"),
        *(Column(key=name, heading=words(name), text=level_text) for name in shown),
        Column(key="trainings", heading="trainings"),
        Column(key="accuracy", heading="accuracy", text=accuracy),
        Column(
            key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=accuracy
        ),
        Column(key="difference", heading="from the best other", text=apart),
        Column(
            key="difference_low",
            upper_key="difference_high",
            heading="95 % interval of all",
            text=apart,
        ),
        Column(key="n", heading="n"),
    )


def _notes(run: RunData, frame: pd.DataFrame) -> tuple[str, ...]:
    compared = against_incumbent(run)
    shown = set(frame["verdict"])
    left = compared.candidates - len(frame)
    told = [
        *n_notes(run),
        basis_note(run, compared),
        f"From the best other: {run.metric.word} minus that of the best of all others. The "
        "intervals and verdicts of all rows hold together with 95 % confidence, whichever row is "
        "picked (multiple comparisons with the best, Hsu 1984).",
    ]
    if Standing.AS_GOOD in shown:
        told.append(
            f"{Standing.AS_GOOD.capitalize()}: shown to be less than {run.metric.gap(run.margin)} "
            f"{'below' if run.metric.sign > 0 else 'above'} the best; --margin sets another limit."
        )
    if Standing.NOT_BEST in shown:
        told.append(
            f"{Standing.NOT_BEST.capitalize()}: another one is shown to be at least as good; the "
            "interval says by how much it may be worse."
        )
    if selected_finalists(run):
        told.append(PICKED)
    return (*told, f"The best {len(frame)} are shown.") if left > 0 else tuple(told)
