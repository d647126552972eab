"""Counts annotators' votes over the classes of a dataset, and turns them into soft labels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.records import Record
from data_prep.sources_file import Source, SourcesFile

SHOWN = 5
"""Most names that a message lists."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CountedVotes:
    """The votes for n pictures over the dataset's classes."""

    columns: Mapping[str, pa.Array]
    """``votes_<class>`` → n counts; null where a picture has no votes."""
    soft_labels: npt.NDArray[np.float32]
    """(n, classes) shares of the votes; 1 for the label where a picture has no votes."""
    notes: tuple[str, ...]
    """Messages for the user."""


def counted_votes(
    records: Sequence[Record], labels: npt.NDArray[np.int64], source: Source, file: SourcesFile
) -> CountedVotes:
    """Count the votes over the dataset's classes, and note how well they agree with the labels."""
    names = {name for record in records for name in record.votes}
    class_of = {name: source.class_of(name, file.classes) for name in names}
    places = {name: place for place, name in enumerate(file.classes)}
    counts = np.zeros((len(records), len(file.classes)), dtype=np.int64)
    other = Counter[str]()
    for row, record in enumerate(records):
        for name, count in record.votes.items():
            class_name = class_of[name]
            if class_name is None:
                other[name] += count
            else:
                counts[row, places[class_name]] += count
    total = counts.sum(axis=1, keepdims=True)
    certain = np.eye(len(file.classes))[labels]
    soft = np.where(total > 0, counts / np.maximum(total, 1), certain)
    return CountedVotes(
        columns={
            f"votes_{name}": pa.array(counts[:, place], pa.int32(), mask=total[:, 0] == 0)
            for name, place in places.items()
        },
        soft_labels=soft.astype(np.float32),
        notes=tuple(_about_votes(counts, labels, other, source, file)),
    )


def _about_votes(
    counts: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    other: Counter[str],
    source: Source,
    file: SourcesFile,
) -> Iterator[str]:
    has_votes = counts.sum(axis=1) > 0
    chosen = counts[np.arange(len(labels)), labels] == counts.max(axis=1)
    without = int((~has_votes).sum())
    yield (
        f"{int(has_votes.sum()):,} pictures of {source.name!r} have {counts.sum():,} votes; the "
        f"label has the most votes in {chosen[has_votes].mean():.1%} of them"
        + (f"; {without:,} have no votes, so their label counts as certain" if without else "")
    )
    if other:
        yield (
            f"{other.total():,} votes of {source.name!r} are not for a class of the dataset: "
            f"{some(other)}"
        )
    lacking = [
        name for name, count in zip(file.classes, counts.sum(axis=0), strict=True) if not count
    ]
    if lacking:
        yield f"no votes of {source.name!r} are for {some(lacking)}"


def some(names: "Sequence[str] | set[str] | Counter[str]") -> str:
    """List the first names, and say how many more there are."""
    listed = sorted(names)
    further = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + further
