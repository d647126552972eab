"""Prepares FER2013 with the FER+ votes as a dataset directory, from any of its layouts."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.duplicates import DEFAULT_SEARCH, SearchVersion
from data_prep.fer_files import FerRows, read_fer_rows
from data_prep.group_columns import GroupColumns, read_group_columns
from data_prep.kaggle_csv import SIDE
from data_prep.manifest import DatasetManifest
from data_prep.rejections import Rejection, Rejections
from data_prep.splits import SplitMethod
from data_prep.votes import CLASSES, VOTE_NAMES, Rule, VoteTable, image_id, label, soft_labels
from data_prep.writer import LabelledImages, Recipe, check_output, write_dataset

MAX_UNKNOWN_VOTES = 4
SPLIT_OF_USAGE = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
OWN_SPLIT_UNUSED = (
    "FER2013 has an official split (Usage), which is not used unless you ask for it: all pictures "
    "are split again (split grouped), and official test pictures may be used for training; "
    "--split given keeps it"
)


def prepare_fer2013(
    *,
    images: Path,
    votes: Path | None = None,
    out: Path,
    rule: Rule = "published",
    split: SplitMethod | None = None,
    seed: int = 0,
    near_duplicates: bool = True,
    duplicates: SearchVersion = DEFAULT_SEARCH,
    groups: Path | None = None,
    together: str | None = None,
    skip_bad: bool = False,
    name: str | None = None,
) -> DatasetManifest:
    """Prepare FER2013.

    Args:
        images: Kaggle's CSV, the FER+ folder of PNGs, or a folder or archive that holds either.
        votes: ``fer2013new.csv``; None if it is in the folder or archive.
        out: Directory to write, which must be empty or missing.
        rule: Labelling rule.
        split: Method of splitting; ``given`` uses the Usage column. None: ``grouped``, as in
            earlier releases, with a note that there is an official split.
        seed: Seed of the split and the folds.
        near_duplicates: Whether to look for near-identical pictures, not only byte-identical ones.
        duplicates: Version of the search for near-identical pictures.
        groups: CSV with ``image_id`` and further columns to join.
        together: Column whose equal values (a person, a scene) stay in one split and fold.
        skip_bad: Whether to list bad rows in ``rejected.csv`` instead of stopping at the first.
        name: Name of the dataset; by default that of ``out``.

    Raises:
        FileNotFoundError: A file does not exist.
        UserError: The files break a rule, or ``out`` cannot be written.
    """
    check_output(out)
    rejections = Rejections(skip_bad=skip_bad)
    rows = read_fer_rows(images, votes, rejections)
    labels = label(rows.votes.votes, rule)
    kept, steps = _clean(rows, labels, rule, rejections)
    ids = [image_id(row) for row in kept.tolist()]
    group_columns = read_group_columns(groups, ids, rejections) if groups else GroupColumns()
    labelled = LabelledImages(
        classes=CLASSES,
        image_ids=ids,
        sources=["fer2013"] * len(ids),
        pixels=rows.pixels[kept].reshape(-1, SIDE, SIDE),
        labels=labels[kept],
        soft_labels=soft_labels(rows.votes.votes[kept], labels[kept], rule),
        columns=_vote_columns(rows.votes, kept) | dict(group_columns.columns),
        given=np.array([SPLIT_OF_USAGE[usage] for usage in rows.votes.usages[kept]], dtype=str),
    )
    details = _details(rows.votes, labels[kept], group_columns)
    if split is None:
        details["notes"] = [OWN_SPLIT_UNUSED]
    del rows  # Keep only one copy of the pixels in memory.
    recipe = Recipe(
        name=name or out.absolute().name,
        label_rule=rule,
        split=split or "grouped",
        seed=seed,
        near_duplicates=near_duplicates,
        duplicates=duplicates,
        together=together,
    )
    return write_dataset(
        out, labelled, recipe, steps=steps, details=details, rejections=rejections,
        named=group_columns.named if groups else None,
    )  # fmt: skip


def _clean(
    rows: FerRows, labels: npt.NDArray[np.int8], rule: Rule, rejections: Rejections
) -> tuple[npt.NDArray[np.int64], list[dict[str, Any]]]:
    """Remove unusable rows, step by step; return the rows kept and the steps."""
    unknown, no_face = (rows.votes.votes[:, VOTE_NAMES.index(name)] for name in ("unknown", "NF"))
    tests = {
        "NF votes > 0": no_face > 0,
        f"unknown votes > {MAX_UNKNOWN_VOTES}": unknown > MAX_UNKNOWN_VOTES,
        f"no class under the rule {rule!r}": labels < 0,
    }
    left = rows.usable
    steps = [{"step": "bad input", "removed": int((~left).sum()), "left": int(left.sum())}]
    for step, fails in tests.items():
        removed = np.flatnonzero(left & fails).tolist()
        rejections.leave_out(
            Rejection(image_id(row), rows.votes.file, row, step) for row in removed
        )
        left = left & ~fails
        steps.append({"step": step, "removed": len(removed), "left": int(left.sum())})
    return np.flatnonzero(left), steps


def _vote_columns(votes: VoteTable, kept: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    return {
        f"votes_{name}": pa.array(votes.votes[kept, place]) for place, name in enumerate(VOTE_NAMES)
    }


def _details(
    votes: VoteTable, labels: npt.NDArray[np.int8], group_columns: GroupColumns
) -> dict[str, Any]:
    """Count rows by NF votes, by unknown votes if NF is 0, and by class."""
    unknown, no_face = (votes.votes[votes.sound, VOTE_NAMES.index(name)] for name in VOTE_NAMES[8:])
    return {
        "rows": int(votes.sound.sum()),
        "nf_votes": _count(no_face),
        "unknown_votes_where_nf_is_0": _count(unknown[no_face == 0]),
        "labels": dict(zip(CLASSES, np.bincount(labels, minlength=4).tolist(), strict=True)),
        "group_columns": group_columns.notes,
    }


def _count(values: npt.NDArray[np.int8]) -> dict[str, int]:
    numbers, counts = np.unique(values, return_counts=True)
    return {str(number): int(count) for number, count in zip(numbers, counts, strict=True)}
