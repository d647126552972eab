"""Draws accuracy by each searched hyperparameter: all trials, and the mean of each level."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.drawing.chart import Axis, Chart, Kind, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted
from analysis.drawing.style import BLUE, INK
from analysis.effects.smooth import smooth
from analysis.effects.statistics import marginal_means
from analysis.folds.statistics import CORRECTED
from analysis.rendering.words import first_upper
from analysis.run.hyperparameters import followers, is_continuous, is_wide, levels, searched, words
from analysis.run.metric import Metric
from analysis.run.run_data import UNKNOWN, RunData
from analysis.run.trainings import has_folds
from analysis.run.trials import accuracy_at_common_epoch, common_epoch, patience_words
from analysis.statistics.estimate import NotKnownError
from tune.run.trial import Status

MOST_COLUMNS = 4
MANY = 400
"""If a layer has more points than this, they are semi-transparent so that density shows."""
MEAN = ["mean", "low", "high"]


def effects(run: RunData) -> Iterator[Drawing]:
    """Yield one figure with a panel per hyperparameter; none for a single configuration."""
    try:
        means = run.metric.scale * marginal_means(run).set_index(["hyperparameter", "level"])[MEAN]
    except NotKnownError:
        return
    names = list(dict.fromkeys(means.index.get_level_values("hyperparameter")))
    yield charted(
        name="accuracy_by_hyperparameter",
        title=f"{first_upper(run.metric.word)} by each hyperparameter",
        caption=f"{compared_words(run)} A point is a trial: filled if it completed, hollow if "
        "it was stopped early later on; numbers in brackets: trials. Bars: means over "
        "configurations, the trainings of each averaged first; over a range, a smooth mean (cubic "
        f"spline), with its 95 % interval where that is known. {_error_words(run, means)}",
        chart=effects_chart(
            prepare(run),
            means,
            {name: title(run, name) for name in names},
            compared_metric(run).axis,
        ),
    )


def prepare(run: RunData) -> pd.DataFrame:
    """Return a row per completed or early-stopped trial.

    Columns: every searched hyperparameter, ``configuration_id``, ``number``, ``completed`` and
    ``accuracy`` (the metric, shares in %, at the epoch that `analysis.run.trials` compares at).
    """
    trials = accuracy_at_common_epoch(run)
    return trials[[*searched(run), "configuration_id", "number"]].assign(
        completed=trials["status"] == Status.COMPLETED,
        accuracy=run.metric.scale * trials["accuracy_at_epoch"],
    )


def effects_chart(
    data: pd.DataFrame, means: pd.DataFrame, titles: dict[str, str], label: str
) -> Chart:
    """Return a panel for each hyperparameter in ``titles``, all with the same vertical axis.

    Args:
        data: What `prepare` returns.
        means: Hyperparameter and level → ``mean``, ``low`` and ``high``, shares in %.
        titles: Hyperparameter → label of its axis.
        label: Label of the vertical axis.
    """
    lowest, highest = (
        np.nanmin([*means["low"], *data["accuracy"]]),
        np.nanmax([*means["high"], *data["accuracy"]]),
    )
    least = 0.5 if label.endswith("%") else 0.0
    margin = max(least, 0.06 * (highest - lowest)) or 1.0
    y = Axis(label=label, limits=(lowest - margin, highest + margin))
    panels = tuple(
        _panel(data[data[name].notna()], means.loc[[name]].droplevel(0), name, titles[name], y)
        for name in titles
    )
    return Chart(panels=panels, columns=MOST_COLUMNS, panel_size=(2.4, 2.9))


def compared_metric(run: RunData) -> Metric:
    """Return the metric of the run, with the epoch at which trials are compared."""
    at = "by" if run.info.objective["at"] == "best" else "at"
    return replace(run.metric, when=f"{at} epoch {common_epoch(run)}")


def compared_words(run: RunData) -> str:
    """Return a sentence that says which accuracies are compared."""
    epoch = common_epoch(run)
    n = run.comparable["n"].max()
    pictures = f", n = {n:,} pictures" if not pd.isna(n) else ""
    picked = "at the best of the first" if run.info.objective["at"] == "best" else "after"
    lost = run.excluded["status"]
    how = "failed or are over a limit" if (lost == Status.OVER_LIMIT).any() else "failed"
    left_out = f" {len(lost):,} others {how} and are not shown." if len(lost) else ""
    count = len(accuracy_at_common_epoch(run))
    return (
        f"{first_upper(run.metric.long)}{pictures}, {picked} {epoch} epochs, which all "
        f"{count:,} compared trials (completed or stopped early) reached{patience_words(run)}."
        f"{left_out}"
    )


def title(run: RunData, name: str) -> str:
    """Return the name of a hyperparameter, with the hyperparameters that are tied to it."""
    tied = followers(run, name)
    return words(name) + (f" (tied: {', '.join(words(each) for each in tied)})" if tied else "")


def spread(places: "pd.Series[int]", reach: float) -> npt.NDArray[np.float64]:
    """Return an x for each place; points at equal places spread over at most ``reach``."""
    order = places.groupby(places).cumcount().to_numpy(float)
    size = places.groupby(places).transform("size").to_numpy(float)
    wide = np.minimum(reach, 0.07 * (size - 1))
    x: npt.NDArray[np.float64] = wide * (order / np.maximum(size - 1, 1) - 0.5) + places.to_numpy()
    return x


def trial_layers(
    data: pd.DataFrame, x: npt.NDArray[np.float64], colour: str = BLUE
) -> tuple[Layer, ...]:
    """Return a point per trial at ``x`` (filled: completed; hollow: stopped early)."""
    layers = []
    for completed, label in ((True, "completed"), (False, "stopped early")):
        chosen = (data["completed"] == completed).to_numpy()
        if chosen.any():
            layers.append(
                Layer(
                    kind="points",
                    label=label,
                    x=x[chosen],
                    y=float_array(data["accuracy"])[chosen],
                    trials=data["number"].to_numpy(int)[chosen],
                    colour=colour,
                    hollow=not completed,
                    alpha=1.0 if chosen.sum() <= MANY else 0.4,
                )
            )
    return tuple(layers)


def _error_words(run: RunData, means: pd.DataFrame) -> str:
    if run.info.searcher == UNKNOWN and run.info.sampling == "adaptive":
        return "They have no interval: how configurations were chosen is not known."
    if run.info.sampling == "adaptive":
        return (
            "They have no interval, because configurations chosen by earlier results are not a "
            "random sample."
        )
    if means["low"].isna().all():
        return (
            "They have no interval, because without replicates the effect of chance is not known."
        )
    if has_folds(run):
        return f"Whiskers: 95 % intervals over the folds, {CORRECTED}."
    chance = (
        "the chance of seeds and pictures"
        if run.info.sampling == "every"
        else "the spread of the configurations that were drawn"
    )
    return f"Whiskers: 95 % intervals from {chance}."


def _panel(data: pd.DataFrame, means: pd.DataFrame, name: str, label: str, y: Axis) -> Panel:
    level = levels(data[name])
    if is_continuous(data[name]):
        at = data[name].astype(float).groupby(level, observed=True).median()
        axis = Axis(label=label, log=is_wide(data[name]))
        if (curve := _smooth_layer(data, name, known=bool(means["low"].notna().any()))) is not None:
            points = trial_layers(data, float_array(data[name]))
            return Panel(x=axis, y=y, layers=(*points, curve))
        bars = _means(means, at, "points", "mean of a quarter of the trials")
        return Panel(x=axis, y=y, layers=(*trial_layers(data, float_array(data[name])), bars))
    codes = pd.Series(level.cat.codes.astype(int), index=data.index)
    names = [f"{text}\n({count})" for text, count in level.value_counts(sort=False).items()]
    at = pd.Series(range(len(names)), index=level.cat.categories, dtype=float)
    points = trial_layers(data, spread(codes, 0.5))
    layers = (*points, _means(means, at, "means", "mean"))
    return Panel(x=Axis(label=label, names=tuple(names)), y=y, layers=layers)


def _smooth_layer(data: pd.DataFrame, name: str, *, known: bool) -> Layer | None:
    """Return the smooth mean over configurations, with its interval if that is known."""
    each = data.groupby("configuration_id")[[name, "accuracy"]].mean().astype(float).dropna()
    log = is_wide(data[name])
    at = float_array(np.log10(each[name]) if log else each[name])
    curve = smooth(at, float_array(each["accuracy"]))
    if curve is None:
        return None
    return Layer(
        kind="band",
        label="smooth mean",
        x=float_array(10 ** curve["x"] if log else curve["x"]),
        y=float_array(curve["mean"]),
        low=float_array(curve["low"]) if known else None,
        high=float_array(curve["high"]) if known else None,
        colour=INK,
        marker="",
    )


def _means(means: pd.DataFrame, at: "pd.Series[float]", kind: Kind, label: str) -> Layer:
    """Draw the mean of each level at its place on the x axis, with whiskers if known."""
    shown = means[means.index.isin(at.index)]
    known = bool(shown["low"].notna().any())
    return Layer(
        kind=kind,
        label=label,
        x=float_array(at[shown.index]),
        y=float_array(shown["mean"]),
        texts=tuple(f"mean at {text}" for text in shown.index),
        colour=INK,
        marker="D",
        low=float_array(shown["low"]) if known else None,
        high=float_array(shown["high"]) if known else None,
    )
