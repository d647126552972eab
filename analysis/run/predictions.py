"""Reads which pictures trials classified correctly, for paired statistics."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analysis.run.run_data import RunData, read_right_as_written

TOLERANCE = 1.5
"""Maximum difference between an accuracy and its predictions, in pictures."""


def read_correct(
    run: RunData, accuracy: "pd.Series[float]", split: str = "val", *, any_epoch: bool = False
) -> pd.DataFrame | None:
    """Read which pictures trials classified correctly.

    Args:
        run: The run.
        accuracy: Trial id → the accuracy that the predictions must have. Predictions are saved for
            a trial's best epoch only, so those of another epoch are detected by their accuracy.
        split: The split of the pictures.
        any_epoch: Whether to accept predictions of another epoch.

    Returns:
        A row per trial in the order of ``accuracy``, a column per picture. None if the predictions
        of a trial are missing, or are for another epoch or other pictures.
    """
    rows: list[npt.NDArray[np.bool_]] = []
    written: pa.Array | None = None
    image_ids: pd.Index[str] | None = None
    order = np.array([], np.int64)
    for expected, found in zip(accuracy, _read_ahead(run, accuracy.index, split), strict=True):
        if found is None:
            return None
        ids, right = found
        if written is None or not ids.equals(written):  # all files usually have one order
            before, (image_ids, order), written = image_ids, _sorted(ids), ids
            if before is not None and not image_ids.equals(before):
                return None
        if abs(right.sum() - expected * len(right)) > TOLERANCE and not any_epoch:
            return None
        rows.append(right[order])
    if not rows:
        return None
    index = pd.Index(accuracy.index.astype(str), name="trial_id")
    return pd.DataFrame(np.stack(rows), index=index, columns=image_ids)


def _read_ahead(
    run: RunData, trial_ids: Iterable[object], split: str
) -> Iterator[tuple[pa.Array, npt.NDArray[np.bool_]] | None]:
    """Yield `read_right_as_written` of each trial, while another thread reads the next files."""
    pool = ThreadPoolExecutor(2)
    try:
        yield from pool.map(lambda one: read_right_as_written(run, str(one), split), trial_ids)
    finally:
        pool.shutdown(cancel_futures=True)


def read_right(run: RunData, trial_id: str, split: str = "val") -> "pd.Series[bool] | None":
    """Return picture id → whether a trial classified it correctly; None without predictions."""
    found = read_right_as_written(run, trial_id, split)
    if found is None:
        return None
    image_ids, order = _sorted(found[0])
    return pd.Series(found[1][order], index=image_ids)


def _sorted(ids: pa.Array) -> tuple["pd.Index[str]", npt.NDArray[np.int64]]:
    """Return sorted picture ids and the order that sorts them."""
    index = pd.Index(ids.to_pylist())
    order = index.argsort()
    return index[order], order
