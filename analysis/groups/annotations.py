"""Reads groups of pictures from the dataset and a CSV, and derives some from the pixels."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.run.dataset import IMAGES_FILE, DatasetLeftOutError, find_dataset
from analysis.run.run_data import RunData
from data_prep.group_columns import read_group_columns
from data_prep.rejections import Rejections
from fairsweep.errors import UserError
from tune.run.directory import GROUPS_FILE

NO_GROUPS = frozenset({"image_id", "split", "label", "content_hash"})
"""Text columns of a dataset that are not groups."""
VOTES = "votes_"
MOST_GROUPS = 20
"""A column with more values than this is not a grouping, such as ages in years, names, dates."""
TERCILES = {"brightness": ("dark", "medium", "bright"), "contrast": ("low", "medium", "high")}
AGREEMENT = ("low", "medium", "high")
AGREEMENT_EDGES = (0.5, 0.8)
"""Share of a picture's votes for its most frequent answer: medium above the first edge, high from
the second."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """The groups of each picture."""

    columns: pd.DataFrame
    """A row per picture (its id as index), a column per attribute: ordered categoricals of group
    names; missing if the picture is in none."""
    notes: tuple[str, ...]
    """Sentences about the source of the groups, and about values that were left out."""


def read_groups(run: RunData, image_ids: Sequence[str], file: Path | None = None) -> Groups:
    """Read the groups of some pictures of a run.

    Args:
        run: The run; if it contains a CSV, this is the default for ``file``.
        image_ids: The pictures.
        file: The user's CSV, with ``image_id`` and any other columns.

    Raises:
        DatasetLeftOutError: There is no CSV, and the dataset is missing or has changed.
        MissingFileError: The CSV does not exist.
        UserError: The CSV breaks a rule, or no column divides the pictures into groups.
    """
    carried = run.path / GROUPS_FILE
    file = carried if file is None and carried.is_file() else file
    notes: list[str] = []
    parts = []
    known: set[str] = set(image_ids)
    try:
        table, known = _read_pictures(run, image_ids)
        parts.append(_of_dataset(table, notes))
    except DatasetLeftOutError as reason:
        if file is None:
            raise
        notes.append(f"Groups of the dataset are left out: {reason}.")
    if file is not None:
        parts.append(_of_file(file, image_ids, known, notes))
    columns = pd.concat(parts, axis=1).reindex(list(image_ids))
    columns = columns.loc[:, ~columns.columns.duplicated(keep="last")]
    columns = columns[list(_grouping(columns, notes))].apply(_in_order)
    if columns.empty:
        raise UserError(
            f"nothing divides the pictures of {run.name} into groups; give a CSV with image_id and "
            "a column of two or more values with --groups"
        )
    return Groups(columns=columns, notes=tuple(notes))


def has_annotated_groups(run: RunData) -> bool:
    """Return whether a run has a CSV of groups, or a dataset with group columns or votes."""
    if (run.path / GROUPS_FILE).is_file():
        return True
    try:
        schema = pq.read_schema(find_dataset(run).path / IMAGES_FILE)
    except DatasetLeftOutError:
        return False
    return any(name.startswith(VOTES) for name in schema.names) or any(
        name != "source" for name in _text_columns(schema)
    )


def _text_columns(schema: pa.Schema) -> list[str]:
    return [f.name for f in schema if pa.types.is_string(f.type) and f.name not in NO_GROUPS]


def _read_pictures(run: RunData, image_ids: Sequence[str]) -> tuple[pa.Table, set[str]]:
    """Return the rows of some pictures, and the ids of all pictures of the dataset."""
    file = find_dataset(run).path / IMAGES_FILE
    schema = pq.read_schema(file)
    votes = [name for name in schema.names if name.startswith(VOTES)]
    wanted = ["image_id", "pixels", *_text_columns(schema), *votes]
    chosen = ds.field("image_id").isin(list(image_ids))
    table = ds.dataset(file).to_table(columns=wanted, filter=chosen)
    if len(table) < len(image_ids):
        lacking = len(image_ids) - len(table)
        raise DatasetLeftOutError(f"the dataset lacks {lacking:,} of the predicted pictures")
    return table, set(pq.read_table(file, columns=["image_id"])["image_id"].to_pylist())


def _of_dataset(table: pa.Table, notes: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = table.drop_columns(["pixels"]).to_pandas().set_index("image_id")
    votes = frame.filter(regex=f"^{VOTES}")
    columns = frame.drop(columns=votes.columns)
    pixels = np.frombuffer(b"".join(table["pixels"].to_pylist()), np.uint8)
    pixels = pixels.reshape(len(table), -1)
    columns["brightness"] = _terciles(pixels.mean(axis=1), TERCILES["brightness"])
    columns["contrast"] = _terciles(pixels.std(axis=1), TERCILES["contrast"])
    notes.append(
        "Brightness and contrast: terciles of the mean and the standard deviation of pixels."
    )
    if len(votes.columns):
        columns["tagger agreement"] = _agreement(votes)
        notes.append(
            "Tagger agreement: the share of a picture's votes for its most frequent answer, low to "
            f"{AGREEMENT_EDGES[0]:.0%}, high from {AGREEMENT_EDGES[1]:.0%} on."
        )
    return columns


def _in_order(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """Order groups from low to high: our own names first, then by their leading number."""
    known = ("dark", "low", "medium", "bright", "high")

    def rank(name: str) -> tuple[float, str]:
        if name in known:
            return known.index(name), name
        first = re.match(r"\d+", name)
        return (float(first.group()) if first else np.inf), name

    names = sorted(cells.dropna().unique(), key=rank)
    return pd.Series(pd.Categorical(cells, names, ordered=True), index=cells.index)


def _terciles(values: npt.NDArray[Any], names: Sequence[str]) -> npt.NDArray[Any]:
    return np.array(names, object)[np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)]


def _agreement(votes: pd.DataFrame) -> "pd.Series[Any]":
    share = votes.max(axis=1) / votes.sum(axis=1)  # missing without votes
    half, most = AGREEMENT_EDGES
    place = (share > half).astype(int) + (share >= most)
    return place.map(dict(enumerate(AGREEMENT))).where(share.notna())


def _of_file(
    file: Path, image_ids: Sequence[str], known: set[str], notes: list[str]
) -> pd.DataFrame:
    """Read groups from a CSV by the rules of data_prep, and add a note about missing values.

    Args:
        file: The CSV.
        image_ids: The predicted pictures.
        known: Ids of all pictures of the dataset.
        notes: One sentence is added.
    """
    ids = sorted(known)
    read = read_group_columns(file, ids, Rejections(may_skip=False))
    cells = pd.DataFrame({name: c.to_pylist() for name, c in read.columns.items()}, index=ids)
    columns: pd.DataFrame = cells.reindex(list(image_ids))
    named = pd.Series(read.named, index=ids).reindex(list(image_ids))
    empty = columns[named].isna().sum()
    listed = ", ".join(f"{count:,} in {name}" for name, count in empty.items() if count)
    notes.append(
        f"{file.name}: {read.notes['unknown_ids']:,} ids of no picture, {(~named).sum():,} judged "
        f"pictures that it does not name, empty cells: {listed or 'none'}."
    )
    return columns


def _grouping(columns: pd.DataFrame, notes: list[str]) -> Iterator[str]:
    for name, cells in columns.items():
        count = cells.nunique()
        if 2 <= count <= MOST_GROUPS:
            yield str(name)
        elif count > MOST_GROUPS:
            notes.append(
                f"{name} is left out: {count:,} values, of at most {MOST_GROUPS}; put them into "
                "ranges."
            )
