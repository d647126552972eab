"""Pictures of each class and split, for datasets with more classes than a figure shows in full."""

import pandas as pd

from analysis.rendering.table import Column, Table, View
from analysis.run.dataset import DatasetLeftOutError, find_dataset
from analysis.run.run_data import RunData
from fairsweep.drawing.class_counts import MOST_UPRIGHT


def class_counts_table(run: RunData) -> Table | None:
    """Count the pictures of each class: a row per class, a column per split.

    Frame: ``class``, the splits, ``all``. None if the figure shows the same numbers, or the dataset
    cannot be shown, for which the figures give the reason.
    """
    try:
        dataset = find_dataset(run)
    except DatasetLeftOutError:
        return None
    if len(dataset.classes) <= MOST_UPRIGHT:
        return None
    counts = pd.DataFrame(dataset.counts)
    splits = list(dataset.counts)
    frame = counts.assign(all=counts.sum(axis=1)).rename_axis("class").reset_index()
    columns = tuple(Column(key=key, heading=key) for key in ("class", *splits, "all"))
    view = View(title="Pictures per class and split", columns=columns)
    return Table(name="dataset_classes", frame=frame, views=(view,), notes=())
