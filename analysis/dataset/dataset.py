"""Reads single pictures of the dataset that a run was trained on."""

from collections.abc import Sequence

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.run.dataset import IMAGES_FILE, Dataset


def read_rows(dataset: Dataset, image_ids: Sequence[str]) -> pd.DataFrame:
    """Read the rows of a few pictures; ids that the dataset does not have are left out.

    Returns:
        A row per picture, its ``image_id`` as index: ``pixels`` (bytes) and all vote columns.
    """
    file = dataset.path / IMAGES_FILE
    votes = [name for name in pq.read_schema(file).names if name.startswith("votes_")]
    chosen = ds.field("image_id").isin(list(image_ids))
    table = ds.dataset(file).to_table(columns=["image_id", "pixels", *votes], filter=chosen)
    frame: pd.DataFrame = table.to_pandas()
    return frame.set_index("image_id")
