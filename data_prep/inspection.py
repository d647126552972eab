"""Inspects a prepared dataset: why pictures were left out, and which pictures are copies."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.manifest import IMAGES_FILE, MANIFEST_FILE, REJECTED_FILE
from fairsweep.errors import UserError, one_line

SPLITS = ("train", "val", "test")
MOST_REASONS = 15
"""Reasons that are shown to a person; the others are one row together."""
_COPY = re.compile(r"a copy of \S+")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Copies:
    """The duplicate groups of a dataset: n rows of its file."""

    image_ids: list[str]
    labels: list[str]
    splits: list[str]
    groups: Rows
    """(n,) duplicate group of each."""

    @cached_property
    def several(self) -> list[Rows]:
        """The rows of each group of two or more, train before val before test."""
        place = np.array([SPLITS.index(split) for split in self.splits])
        order = np.lexsort((place, self.groups))
        starts = np.flatnonzero(np.diff(self.groups[order])) + 1
        return [rows for rows in np.split(order, starts) if len(rows) > 1]

    @cached_property
    def mixed(self) -> list[Rows]:
        """The groups whose pictures have different labels."""
        return [rows for rows in self.several if len({self.labels[row] for row in rows}) > 1]

    @cached_property
    def across(self) -> list[Rows]:
        """The groups whose pictures are in different splits."""
        return [rows for rows in self.several if len({self.splits[row] for row in rows}) > 1]

    def label_pairs(self) -> Counter[tuple[str, str]]:
        """Count in how many groups two labels meet."""
        pairs: Counter[tuple[str, str]] = Counter()
        for rows in self.mixed:
            pairs.update(combinations(sorted({self.labels[row] for row in rows}), 2))
        return pairs

    def leaks(self) -> dict[str, int]:
        """Count the pictures of a split that have a copy in an earlier one, as ``val in train``."""
        found = Counter(
            f"{later} in {earlier}"
            for rows in self.across
            for earlier, later in combinations(SPLITS, 2)
            if earlier in {self.splits[row] for row in rows}
            for row in rows
            if self.splits[row] == later
        )
        return {f"{b} in {a}": found[f"{b} in {a}"] for a, b in combinations(SPLITS, 2)}

    def rows(self) -> Iterator[tuple[int, str, str, str]]:
        """Yield group, image id, split and label of every picture that has a copy."""
        for rows in self.several:
            for row in rows:
                group = int(self.groups[row])
                yield group, self.image_ids[row], self.splits[row], self.labels[row]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """Facts from the files of a dataset that its manifest lacks."""

    reasons: Mapping[str, int]
    """Reason for leaving out rows → number of rows, in descending order."""
    copies: Copies | None
    """None if the file of pictures is missing."""

    def summary(self) -> dict[str, Any]:
        """Return the facts as plain values, ready for JSON."""
        facts: dict[str, Any] = {"rejected": dict(self.reasons)}
        if self.copies is not None:
            pairs = self.copies.label_pairs().most_common()
            facts["mixed_labels"] = {
                "groups": len(self.copies.mixed),
                "pairs": [{"labels": list(pair), "groups": count} for pair, count in pairs],
            }
            facts["leaks"] = self.copies.leaks()
        return facts


def inspect_dataset(directory: Path) -> Inspection:
    """Read the reasons for leaving out rows, and the duplicate groups.

    Raises:
        UserError: A file is damaged.
    """
    return Inspection(
        reasons=_reasons(directory / REJECTED_FILE), copies=_copies(directory / IMAGES_FILE)
    )


def most_frequent(reasons: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent reasons, and the others as one."""
    if len(reasons) <= MOST_REASONS:
        return dict(reasons)
    kept = list(reasons.items())[: MOST_REASONS - 1]
    rest = list(reasons.values())[MOST_REASONS - 1 :]
    return {**dict(kept), f"{len(rest):,} other reasons": sum(rest)}


def copies_across_words(leaks: Mapping[str, int]) -> str:
    """Say how many pictures of a split have a copy in an earlier one; empty if none has."""
    parts = []
    for pair, count in leaks.items():
        later, earlier = pair.split(" in ")
        if count:
            pictures = "picture has" if count == 1 else "pictures have"
            parts.append(f"{count:,} {later} {pictures} a copy in {earlier}")
    return ", ".join(parts)


def _reasons(file: Path) -> dict[str, int]:
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        counts = Counter(_kind(row["reason"] or "") for row in csv.DictReader(lines))
    return dict(counts.most_common())


def _kind(reason: str) -> str:
    """Return a reason without the names of single pictures and labels."""
    if _COPY.match(reason) is None:
        return reason
    other = ", under another label" if ", which is labelled " in reason else ""
    return f"a copy of a picture of an earlier source{other}"


def _copies(file: Path) -> Copies | None:
    if not file.is_file():
        return None
    names = ["image_id", "label", "split", "duplicate_group"]
    try:
        table = pq.read_table(file, columns=names)
        ids, labels, splits, groups = (table[name].to_pylist() for name in names)
    except (OSError, pa.ArrowException, KeyError) as error:
        reason = one_line(error)
        raise UserError(
            f"{file} is damaged or belongs to another {MANIFEST_FILE} ({reason}); restore both "
            "from a copy, or prepare the dataset again as it was"
        ) from error
    return Copies(image_ids=ids, labels=labels, splits=splits, groups=np.array(groups, np.int64))
