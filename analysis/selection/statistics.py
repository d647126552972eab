"""What picking the best of many on the pictures that judge it does to its accuracy."""

import json
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.folds.statistics import FoldAverage, fold_average, fold_means, held_out_ratio
from analysis.run.predictions import read_correct, read_right
from analysis.run.run_data import RunData
from analysis.run.trials import fairly_trained, incumbent, ranked
from analysis.statistics.bootstrap import picture_counts
from analysis.statistics.intervals import wilson
from tune.run.directory import LEDGER_FILE
from tune.run.trial import Status

MOST_MODELS = 100
"""Trained models that the selection is repeated among: the best ones. A model below a hundred
others is not picked on any draw of pictures, so the rest change nothing."""
DRAWS = 1_000
OPENED = "test_opened"
"""Event of the ledger: a trial was judged on the test split."""


def selection(run: RunData) -> pd.DataFrame:
    """Tell the accuracy of the incumbent as picked, corrected for the picking, and on test.

    Returns:
        A row per estimate that can be made: ``estimate`` (``best epoch``, ``last epoch``,
        ``corrected``, ``test``), ``accuracy``, ``accuracy_low``, ``accuracy_high`` (95 %;
        Wilson, for the corrected one the bootstrap's percentiles), ``n`` (pictures), ``models``
        (how many it was picked from; 1 where the pictures had no part in the picking),
        ``openings`` (how often the test split of the run was opened; 0 on validation). Of a run
        over folds the first two alone: averages of the configuration that is best on average, with
        the interval of `analysis.statistics.pairs.over_folds`.
    """
    average = fold_average(run)
    if average is not None:
        return _over_folds(run, average)
    best = incumbent(run)
    models = len(run.completed) or len(run.comparable)
    rows = [
        _measured("best epoch", best["best_val_accuracy"], best["n"], models),
        _measured("last epoch", best["last_val_accuracy"], best["n"], models),
    ]
    correct = _candidates(run)
    if correct is not None and correct.shape[1] > 1:  # One picture leaves none to judge on.
        value, low, high = corrected_for_selection(correct.to_numpy())
        rows.append(
            {
                "estimate": "corrected",
                "accuracy": value,
                "accuracy_low": low,
                "accuracy_high": high,
                "n": correct.shape[1],
                "models": models,
                "openings": 0,
            }
        )
    test = _test(run, str(best["trial_id"]))
    return pd.DataFrame([*rows, *([test] if test else [])])


def corrected_for_selection(
    correct: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Estimate the accuracy of whatever model is picked as the best of several.

    Bootstrap bias-corrected cross-validation: Tsamardinos, Greasidou and Borboudakis (2018),
    "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation",
    Machine Learning 107, algorithm 4. On each draw of pictures the best model on the drawn ones
    is picked, the first of equals, and judged on those that were not drawn. Draws of every picture
    leave none to judge on and are left out; they occur only with a handful of pictures.

    Args:
        correct: (models, pictures), at least two pictures: whether a model told a picture right.
        seed: Seed of the draws.
        draws: Number of draws.

    Returns:
        The mean over draws and its 95 % percentile interval.
    """
    right = correct.astype(np.float32)
    judged = []
    for counts in picture_counts(correct.shape[1], draws, np.random.default_rng(seed)):
        counts = counts[(counts == 0).any(axis=1)]
        picked = (counts.astype(np.float32) @ right.T).argmax(axis=1)
        out = counts == 0
        judged.append((right[picked] * out).sum(axis=1) / out.sum(axis=1))
    values = np.concatenate(judged)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def openings_of_test(run: RunData) -> Mapping[str, int]:
    """Return how often the test split was opened for each trial, as the ledger tells."""
    with (run.path / LEDGER_FILE).open(encoding="utf-8") as ledger:
        # A ledger has a line per trial and epoch; only the few that may tell of it are parsed.
        events = [json.loads(line) for line in ledger if f'"{OPENED}"' in line and line[-1] == "\n"]
    return Counter(str(event["trial"]) for event in events if event["event"] == OPENED)


def _candidates(run: RunData) -> pd.DataFrame | None:
    """Return what the trials that the incumbent was picked from told right."""
    info = run.info.objective
    if info["metric"] != "val_accuracy":
        return None
    trials = ranked(run)
    trials = trials[trials["status"] == Status.COMPLETED].head(MOST_MODELS)
    accuracy = trials.set_index("trial_id")[f"{info['at']}_val_accuracy"]
    return read_correct(run, accuracy) if len(accuracy) > 1 else None


def _over_folds(run: RunData, average: FoldAverage) -> pd.DataFrame:
    trials = fairly_trained(run)
    own = trials[trials["configuration_id"] == average.configuration_id]
    told = {
        f"{at} epoch": fold_means(
            own.assign(accuracy=own[f"{at}_val_accuracy"]), held_out_ratio(run)
        )
        for at in ("best", "last")
    }
    frame = pd.concat(told, names=["estimate"]).reset_index("estimate")
    return frame[["estimate", "accuracy", "accuracy_low", "accuracy_high"]].assign(
        n=average.pictures, models=trials["configuration_id"].nunique(), openings=0
    )


def _measured(name: str, accuracy: float, n: int, models: int) -> dict[str, object]:
    low, high = wilson(accuracy, n)
    return {
        "estimate": name,
        "accuracy": accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "n": n,
        "models": models,
        "openings": 0,
    }


def _test(run: RunData, trial_id: str) -> dict[str, object] | None:
    """Return the row of the test split, where the ledger says that it was opened."""
    openings = openings_of_test(run)
    right = read_right(run, trial_id, "test") if openings[trial_id] else None
    if right is None:
        return None
    row = _measured("test", float(right.mean()), len(right), 1)
    return {**row, "openings": sum(openings.values())}
