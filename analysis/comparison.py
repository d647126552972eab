"""Which trials are compared, at which epoch and in which order: the same for tables and figures."""

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from analysis.run_data import RunData
from tune.schema import Status

_STATUS_ORDER = [Status.COMPLETED, Status.EARLY_STOPPED]


def common_epoch(run: RunData) -> int:
    """Return the last epoch that every completed or early-stopped trial reached."""
    return int(run.comparable["epochs_trained"].min())


def accuracy_at_common_epoch(run: RunData) -> pd.DataFrame:
    """Compare all trials after the same number of epochs, so that none is ahead by training longer.

    Returns:
        The completed and early-stopped rows of ``run.trials`` with ``accuracy_at_epoch``: the
        validation accuracy at the epoch that the objective picks among the first
        `common_epoch` ones (``at: best``), or at that epoch itself (``at: last``).
    """
    within = run.measurements[run.measurements["epoch"] <= common_epoch(run)]
    if run.info.objective["at"] == "best":
        ascending = run.info.objective["mode"] == "min"
        by = [run.info.objective["metric"], "epoch"]
        within = within.sort_values(by, ascending=[ascending, True], kind="stable")
        picked = within.drop_duplicates("trial_id")
    else:
        picked = within.sort_values("epoch").drop_duplicates("trial_id", keep="last")
    accuracy = picked.set_index("trial_id")["val_accuracy"]
    trials = run.comparable
    return trials.assign(accuracy_at_epoch=trials["trial_id"].map(accuracy))


def ranked(run: RunData) -> pd.DataFrame:
    """Order trials: completed, early-stopped, others; in each by objective, ties by number."""
    metric, at = run.info.objective["metric"], run.info.objective["at"]
    sign = 1 if run.info.objective["mode"] == "min" else -1
    place = {status: rank for rank, status in enumerate(_STATUS_ORDER)}
    keyed = run.trials.assign(
        _group=run.trials["status"].map(lambda status: place.get(status, len(place))),
        _objective=sign * run.trials[f"{at}_{metric}"],
    )
    ordered = keyed.sort_values(["_group", "_objective", "number"], na_position="last")
    return ordered.drop(columns=["_group", "_objective"])


def wilson_interval(accuracy: "pd.Series[float]", n: "pd.Series[int]") -> pd.DataFrame:
    """Compute the 95 % interval of accuracies of one model each on n pictures.

    Wilson (1927), the score interval, as recommended by Brown, Cai and DasGupta (2001),
    "Interval Estimation for a Binomial Proportion", Statistical Science 16(2).

    Returns:
        ``accuracy_low`` and ``accuracy_high`` with the index of ``accuracy``; missing where an
        accuracy or n is.
    """
    known = accuracy.notna() & n.notna()
    total = n[known].astype(float)
    low, high = proportion_confint(accuracy[known] * total, total, alpha=0.05, method="wilson")
    interval = pd.DataFrame(np.nan, index=accuracy.index, columns=["accuracy_low", "accuracy_high"])
    interval.loc[known, "accuracy_low"] = low
    interval.loc[known, "accuracy_high"] = high
    return interval
