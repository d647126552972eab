"""The table of copies that an official split has in several of its parts."""

import pandas as pd

from analysis.rendering.table import Column, Table, View
from analysis.run.dataset import COPIES_FILE, DatasetLeftOutError, find_dataset
from analysis.run.run_data import RunData

MOST_ROWS = 200
"""Maximum number of pictures; all are in the dataset's `copies_across_splits.csv`."""


def copies_table(run: RunData) -> Table | None:
    """List the pictures that have a copy in another split, group by group.

    Frame: ``group`` (duplicate group), ``name`` (image id), ``split``, ``label``. None if the split
    is not an official one, if no copy crosses it, or if the dataset cannot be shown, for which the
    figures give the reason.
    """
    try:
        file = find_dataset(run).path / COPIES_FILE
    except DatasetLeftOutError:
        return None
    if not file.is_file():
        return None
    texts = dict.fromkeys(("image_id", "split", "label"), str)
    listed = pd.read_csv(file, dtype=texts, keep_default_na=False)  # A class may be called NA.
    frame = listed.rename(columns={"duplicate_group": "group", "image_id": "name"}).head(MOST_ROWS)
    headings = {"group": "group", "name": "picture", "split": "split", "label": "label"}
    columns = tuple(Column(key=key, heading=heading) for key, heading in headings.items())
    view = View(title="Copies across the official split", columns=columns)
    groups = listed.groupby("duplicate_group")["label"].nunique()
    notes = (
        f"{len(groups):,} groups of identical or nearly identical pictures are in several splits, "
        f"{int((groups > 1).sum()):,} of them with several labels. The first {len(frame):,} of "
        f"{len(listed):,} pictures are shown; {COPIES_FILE} of the dataset lists all. They were "
        "not moved, because the split is an official one.",
    )
    return Table(name="copies_across_splits", frame=frame, views=(view,), notes=notes)
