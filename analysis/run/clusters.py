"""Clusters of dependent pictures in a run, and the effective number of independent pictures.

Copies of a picture are dependent, and so are pictures that a dataset keeps in one split together.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from analysis.run.dataset import IMAGES_FILE, DatasetLeftOutError, find_dataset
from analysis.run.predictions import read_right
from analysis.run.run_data import RunData
from analysis.run.trials import ranked
from analysis.statistics.clusters import Clusters, clusters_of, design_effect, singles
from analysis.statistics.intervals import wilson_interval

COLUMNS = ("split_group", "duplicate_group")
"""Dataset columns that define the clusters. The first one that exists is used, because a split
group contains whole duplicate groups."""
MOST_MODELS = 20
"""Number of trials that the design effect is estimated from, the best ones."""


def read_clusters(run: RunData, image_ids: Sequence[str] | pd.Index) -> Clusters:
    """Return the clusters of pictures; all are independent if the dataset does not define any."""
    group, _ = _groups(run)
    if group is None:
        return singles(len(image_ids))
    labels = group.reindex(pd.Index(image_ids))
    alone = -1.0 - np.arange(len(labels))  # a picture without a cluster
    return clusters_of(labels.where(labels.notna(), alone))


def effective_n(run: RunData, trials: pd.DataFrame) -> "pd.Series[float]":
    """Return the effective ``n`` of each trial: n over the design effect.

    All trials of a run share one design effect, which is estimated from the best trials together.
    """
    return trials["n"].astype("Float64").astype(float) / _design_effect(run)


def single_intervals(
    run: RunData, values: "pd.Series[float]", trials: pd.DataFrame
) -> pd.DataFrame:
    """Return the 95 % intervals of the metric of single trainings, each on ``n`` pictures.

    Args:
        run: The run.
        values: The metric of each training.
        trials: ``n`` of each training, with the same index.

    Returns:
        ``accuracy_low`` and ``accuracy_high`` (Wilson); missing for a metric that is not a share of
        pictures.
    """
    n = effective_n(run, trials)
    return wilson_interval(values.astype(float), n if run.metric.is_accuracy else n * np.nan)


def effective_of(run: RunData, right: "pd.Series[bool]") -> float:
    """Return the effective n of one trial's pictures.

    Args:
        run: The run.
        right: Picture id → whether the trial classified it correctly.
    """
    clusters = read_clusters(run, right.index)
    return len(right) / design_effect([(right.to_numpy(), clusters)])


def n_notes(run: RunData, meaning: str = "n: pictures in validation.") -> tuple[str, ...]:
    """Return what n means and how copies were counted, or why n is not known."""
    if run.has_pictures:
        return (meaning, *picture_notes(run))
    return (
        f"Not known: {run.name} has no predictions on single pictures, so there is no number of "
        "pictures, no interval of a single training, and nothing about other pictures.",
    )


def picture_notes(run: RunData) -> tuple[str, ...]:
    """Return a note on how copies among validation pictures were counted; empty without copies."""
    group, reason = _groups(run)
    if group is None:
        return (
            f"Copies of a picture count as independent ones, for {reason}: where validation holds "
            "copies, intervals are too narrow.",
        )
    effect = _design_effect(run)
    if effect == 1:
        return ()
    n = int(run.trials["n"].max())
    return (
        f"Copies of a picture are no independent pictures: n = {n:,} are worth {n / effect:,.0f} "
        "(effective n), which intervals and tests go by (Rao and Scott 1992).",
    )


@lru_cache(maxsize=4)  # every table asks
def _groups(run: RunData) -> tuple["pd.Series[Any] | None", str]:
    """Return picture id → group, or None and the reason why it is not known."""
    try:
        file = find_dataset(run).path / IMAGES_FILE
    except DatasetLeftOutError as reason:
        return None, str(reason)
    column = next((name for name in COLUMNS if name in pq.read_schema(file).names), None)
    if column is None:
        return None, "the dataset does not tell which pictures are copies"
    table = pq.read_table(file, columns=["image_id", column]).to_pandas()
    return table.set_index("image_id")[column], ""


@lru_cache(maxsize=4)
def _design_effect(run: RunData) -> float:
    return design_effect(_best_models(run))


def _best_models(run: RunData) -> Iterator[tuple[npt.NDArray[np.bool_], Clusters]]:
    if _groups(run)[0] is None:
        return
    for trial_id in ranked(run)["trial_id"].head(MOST_MODELS):
        right = read_right(run, str(trial_id))
        if right is not None:
            yield right.to_numpy(), read_clusters(run, right.index)
