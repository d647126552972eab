"""Estimates the incumbent's accuracy without the bias of selecting the best of many models."""

import json
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.folds.statistics import FoldAverage, fold_average, fold_means, held_out_ratio
from analysis.run.clusters import effective_n, effective_of, read_clusters
from analysis.run.predictions import read_correct, read_right
from analysis.run.run_data import COMPARABLE, RunData
from analysis.run.trials import accuracy_within, fairly_trained, incumbent, ranked
from analysis.statistics.bootstrap import picture_counts
from analysis.statistics.clusters import Clusters, clusters_of, singles
from analysis.statistics.intervals import wilson
from tune.run.directory import ENSEMBLE, LEDGER_FILE
from tune.run.trial import Status

MOST_MODELS = 100
"""Maximum number of trained models that the selection is repeated among, the best ones. A model
that is worse than a hundred others is hardly ever selected on a draw of pictures."""
DRAWS = 1_000
OPENED = "test_opened"
"""Ledger event: a trial was evaluated on the test split."""


def selection(run: RunData) -> pd.DataFrame:
    """Estimate the incumbent's accuracy on validation, corrected for selection, and on test.

    Returns:
        A row per available estimate: ``estimate`` (``best epoch``, ``last epoch``, ``corrected``,
        ``test``), ``accuracy``, ``accuracy_low``, ``accuracy_high`` (95 %; Wilson's, or bootstrap
        percentiles for ``corrected``), ``n`` (pictures), ``models`` (number of models that it was
        selected from on these pictures, including trials that were stopped early; 1 for test),
        ``openings`` (how often the run's test split was opened; 0 on validation). A k-fold run has
        only the first two rows, with the best average over folds and the interval of
        `analysis.statistics.pairs.over_folds`.
    """
    average = fold_average(run)
    if average is not None:
        return _over_folds(run, average)
    best = incumbent(run)
    candidates = _candidates(run)
    n, effective = best["n"], float(effective_n(run, best.to_frame().T).iloc[0])
    effective = effective if run.metric.is_accuracy else np.nan
    rows = [
        _measured(f"{at} epoch", best[f"{at}_{run.metric.name}"], n, effective, len(candidates))
        for at in ("best", "last")
    ]
    test = _test(run, str(best["trial_id"]))
    return pd.DataFrame([row for row in (*rows, _corrected(run, candidates), test) if row])


@lru_cache(maxsize=4)  # the headline and several sentences ask
def estimates(run: RunData) -> Mapping[str, Mapping[Any, Any]]:
    """Return the rows of `selection` by their ``estimate``."""
    return {row["estimate"]: row for row in selection(run).to_dict("records")}


class CorrectedAccuracy(NamedTuple):
    """An accuracy that is corrected for selection, with its 95 % percentile interval."""

    accuracy: float
    low: float
    high: float


def corrected_for_selection(
    correct: npt.NDArray[np.bool_],
    seed: int = 0,
    draws: int = DRAWS,
    *,
    clusters: Clusters | None = None,
    to_come: npt.NDArray[np.float64] | float = 0.0,
    configuration: npt.NDArray[np.int64] | None = None,
) -> CorrectedAccuracy:
    """Estimate the accuracy of the model that is selected as the best of several.

    Bootstrap bias-corrected cross-validation: Tsamardinos, Greasidou and Borboudakis (2018),
    "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation",
    Machine Learning 107, algorithm 4. Each draw of pictures (of whole clusters) selects the model
    that is best on the drawn pictures, the first in case of ties, and evaluates it on the pictures
    that were not drawn. With replicates, the configuration with the best mean is selected first,
    then its best replicate (`tune.run.incumbent`). A draw that contains all pictures is skipped,
    which happens only if there are very few.

    Args:
        correct: (models, pictures) whether a model classified a picture correctly.
        seed: Seed of the draws.
        draws: Number of draws.
        clusters: Clusters of the pictures, at least two; None if all are independent.
        to_come: (models,) expected gain in accuracy if the model's training had not been stopped.
        configuration: (models,) number of each model's configuration, from 0; None if all models
            have different configurations.

    Returns:
        The mean over draws and its 95 % percentile interval.
    """
    clusters = clusters or singles(correct.shape[1])
    right, sizes = clusters.sums(correct).astype(np.float32), clusters.sizes
    added = np.broadcast_to(to_come, len(correct))
    of = np.arange(len(correct)) if configuration is None else configuration
    share = np.eye(of.max() + 1)[of] / np.bincount(of)
    judged = []
    for counts in picture_counts(len(sizes), draws, np.random.default_rng(seed)):
        counts = counts[(counts == 0).any(axis=1)]
        drawn, out = counts @ sizes, counts == 0
        told = counts.astype(np.float32) @ right.T + np.multiply.outer(drawn, added)
        best = (told @ share).argmax(axis=1)
        picked = np.where(of == best[:, None], told, -np.inf).argmax(axis=1)
        accuracy = (right[picked] * out).sum(axis=1) / (out @ sizes)
        judged.append(accuracy + added[picked])
    values = np.concatenate(judged)
    low, high = np.quantile(values, [0.025, 0.975])
    return CorrectedAccuracy(accuracy=float(values.mean()), low=float(low), high=float(high))


def openings_of_test(run: RunData) -> Mapping[str, int]:
    """Return how often the test split was opened for each trial, according to the ledger.

    An opening for an ensemble counts for ``ENSEMBLE``, and for none of its members.
    """
    with (run.path / LEDGER_FILE).open(encoding="utf-8") as ledger:
        # A ledger has a line per trial and epoch; parse only lines that can have this event.
        events = [json.loads(line) for line in ledger if f'"{OPENED}"' in line and line[-1] == "\n"]
    return Counter(
        ENSEMBLE if event.get("ensemble") else str(event["trial"])
        for event in events
        if event["event"] == OPENED
    )


def _candidates(run: RunData) -> pd.DataFrame:
    """Return the trials that the incumbent was selected from, at a rung or at the end.

    For finalists, only the trainings that rank them are included.
    """
    trials, fair = ranked(run).set_index("trial_id"), fairly_trained(run)
    lucky = trials["configuration_id"].isin(fair["configuration_id"])
    counts = trials.index.isin(fair["trial_id"]) | ~lucky
    return trials[trials["status"].isin(COMPARABLE) & counts]


def _corrected(run: RunData, candidates: pd.DataFrame) -> dict[str, object] | None:
    """Return the row of the incumbent, corrected for selection.

    If trials that were stopped early have no predictions, only the selection among completed trials
    is corrected for.
    """
    completed = candidates[candidates["status"] == Status.COMPLETED]
    by_metric = run.info.objective["metric"] == run.metric.name and run.metric.sign > 0
    if not (by_metric and run.metric.is_accuracy) or completed.empty:
        return None
    return _corrected_among(run, candidates) or _corrected_among(run, completed)


def _corrected_among(run: RunData, trials: pd.DataFrame) -> dict[str, object] | None:
    """Return the row for a selection from these trials.

    A trial that was stopped early could have become the incumbent on other pictures. Its accuracy
    is that when it was stopped, plus the mean gain of completed trials after this epoch.
    """
    accuracy = trials[run.value_column]
    to_come = trials["epochs_trained"].map(_gains(run, trials, accuracy))
    to_come = to_come.where(trials["status"] != Status.COMPLETED, 0.0).astype(float)
    means = (accuracy + to_come).groupby(trials["configuration_id"]).transform("mean")
    best = means.sort_values(ascending=False, kind="stable").index[:MOST_MODELS]
    correct = read_correct(run, accuracy[best]) if len(best) > 1 else None
    clusters = None if correct is None else read_clusters(run, correct.columns)
    if correct is None or clusters is None or len(clusters.sizes) < 2:  # One leaves none.
        return None
    found = corrected_for_selection(
        correct.to_numpy(),
        clusters=clusters,
        to_come=np.asarray(to_come[best], np.float64),
        configuration=clusters_of(trials.loc[best, "configuration_id"]).of,
    )
    row = _row("corrected", found.accuracy, correct.shape[1], len(trials))
    return row | {"accuracy_low": found.low, "accuracy_high": found.high}


def _gains(run: RunData, trials: pd.DataFrame, accuracy: "pd.Series[float]") -> dict[int, float]:
    """Return epochs trained → mean gain in accuracy of completed trials after that epoch."""
    whole = trials.index[trials["status"] == Status.COMPLETED]
    return {
        int(epochs): float((accuracy[whole] - accuracy_within(run, int(epochs))[whole]).mean())
        for epochs in trials["epochs_trained"].unique()
    }


def _over_folds(run: RunData, average: FoldAverage) -> pd.DataFrame:
    trials = fairly_trained(run)
    own = trials[trials["configuration_id"] == average.configuration_id]
    told = {
        f"{at} epoch": fold_means(
            own.assign(accuracy=own[f"{at}_{run.metric.name}"]), held_out_ratio(run)
        )
        for at in ("best", "last")
    }
    frame = pd.concat(told, names=["estimate"]).reset_index("estimate")
    return frame[["estimate", "accuracy", "accuracy_low", "accuracy_high"]].assign(
        n=average.pictures, models=trials["configuration_id"].nunique(), openings=0
    )


def _measured(
    name: str, accuracy: float, n: int, effective: float, models: int
) -> dict[str, object]:
    low, high = wilson(accuracy, effective)
    return _row(name, accuracy, n, models) | {"accuracy_low": low, "accuracy_high": high}


def _row(name: str, accuracy: float, n: int, models: int) -> dict[str, object]:
    """Return a row without its interval."""
    row = {"estimate": name, "accuracy": accuracy, "accuracy_low": np.nan, "accuracy_high": np.nan}
    return row | {"n": n, "models": models, "openings": 0}


def _test(run: RunData, trial_id: str) -> dict[str, object] | None:
    """Return the row of the test split; None if it was not opened for this trial."""
    openings = openings_of_test(run)
    known = openings[trial_id] and run.metric.is_accuracy
    right = read_right(run, trial_id, "test") if known else None
    if right is None:
        return None
    row = _measured("test", float(right.mean()), len(right), effective_of(run, right), 1)
    return {**row, "openings": sum(openings.values())}
