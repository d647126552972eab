"""Joins the pictures of several sources, and finds pictures that more than one source has."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.collecting import SPLIT_TYPE, SourceImages
from data_prep.duplicates import as_gray, fine_correlation
from data_prep.large_arrays import concatenate
from data_prep.rejections import BadInputError, Rejection
from data_prep.sources_file import SourcesFile
from data_prep.writer import LabelledImages

Rows = npt.NDArray[np.int64]


def merge(file: SourcesFile, parts: Sequence[SourceImages]) -> LabelledImages:
    """Concatenate the pictures of all sources, in the order of the sources.

    A column that a source lacks is empty for its pictures. If a source has label distributions,
    those of the other sources put all weight on the label.
    """
    columns = pa.concat_tables([part.columns for part in parts], promote_options="permissive")
    labels = np.concatenate([part.labels for part in parts])
    soft = None
    if any(part.soft_labels is not None for part in parts):
        certain = np.eye(len(file.classes), dtype=np.float32)
        soft = np.concatenate(
            [
                certain[part.labels] if part.soft_labels is None else part.soft_labels
                for part in parts
            ]
        )
    return LabelledImages(
        classes=file.classes,
        image_ids=[image_id for part in parts for image_id in part.ids],
        sources=[
            source.name for source, part in zip(file.sources, parts, strict=True) for _ in part.ids
        ],
        pixels=concatenate([part.pixels for part in parts]),
        labels=labels,
        soft_labels=soft,
        columns={name: columns[name].combine_chunks() for name in columns.column_names},
        given=np.concatenate([given_of(part) for part in parts]),
    )


def given_of(part: SourceImages) -> npt.NDArray[np.str_]:
    """Return the (n,) split that the source gives each picture; empty for none."""
    return np.full(len(part.ids), "", SPLIT_TYPE) if part.given is None else part.given


def repeated(images: LabelledImages, groups: Rows) -> dict[int, int]:
    """Find pictures that an earlier source has too.

    Args:
        images: Pictures of all sources, in the order of the sources.
        groups: (n,) duplicate group of each picture.

    Returns:
        Row of each such picture → row of its most similar copy in the first source that has one.
    """
    found = {}
    for rows in _several(groups):
        first = images.sources[rows[0]]
        own = np.array([row for row in rows if images.sources[row] == first])
        for row in rows:
            if images.sources[row] != first:
                kept = as_gray(images.pixels[own])
                again = np.broadcast_to(as_gray(images.pixels[[row]]), kept.shape)
                found[int(row)] = int(own[fine_correlation(kept, again).argmax()])
    return found


def _several(groups: Rows) -> Iterator[Rows]:
    """Yield the rows of each group of two or more pictures, in order."""
    order = np.argsort(groups, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(rows) > 1:
            yield rows


def told(images: LabelledImages, found: Mapping[int, int]) -> Iterator[Rejection]:
    """Yield for each repeated picture which copy is kept, and whether their labels differ."""
    for row, original in sorted(found.items()):
        reason = f"a copy of {images.image_ids[original]}"
        names = [images.classes[images.labels[place]] for place in (original, row)]
        if names[0] != names[1]:
            reason += f", which is labelled {names[0]!r} there and {names[1]!r} here"
        yield Rejection(images.image_ids[row], "", None, reason)


def over_limit(file: SourcesFile, images: LabelledImages, seed: int) -> Rows:
    """Draw the pictures that are left out because of a source's limits; return their rows."""
    generator = np.random.default_rng(seed)
    sources = np.array(images.sources)
    out = [np.empty(0, dtype=np.int64)]
    for source in file.sources:
        for name, limit in source.limit.items():
            of_class = images.labels == file.classes.index(name)
            rows = np.flatnonzero((sources == source.name) & of_class)
            out.append(generator.permutation(rows)[limit:])
    return np.sort(np.concatenate(out))


def check_ids(images: LabelledImages) -> None:
    """Check that all ids differ.

    Raises:
        BadInputError: Two pictures have the same id.
    """
    ids, counts = np.unique(np.array(images.image_ids), return_counts=True)
    if counts.max(initial=0) > 1:
        raise BadInputError(
            f"two different pictures have the id {str(ids[counts.argmax()])!r}; two of the sources "
            "hold versions of one dataset, so leave one of them out"
        )
