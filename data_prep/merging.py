"""Joins the pictures of several sources, and finds pictures that more than one source has."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.collecting import SPLIT_TYPE, SourceImages
from data_prep.duplicates import SearchVersion, pair_likeness
from data_prep.fingerprint import content_hashes
from data_prep.large_arrays import concatenate
from data_prep.rejections import BadInputError, Rejection
from data_prep.sources_file import SourcesFile
from data_prep.writer import LabelledImages

Rows = npt.NDArray[np.int64]
Originals = dict[int, int]
"""Row of a picture → row of the one in an earlier source that it is a copy of."""

STRONG_LIKENESS = 0.95
"""Correlation of details from which on a copy with another label is left out."""


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
    pixels = concatenate([part.pixels for part in parts])
    return LabelledImages(
        classes=file.classes,
        image_ids=[image_id for part in parts for image_id in part.ids],
        sources=[
            source.name for source, part in zip(file.sources, parts, strict=True) for _ in part.ids
        ],
        pixels=pixels,
        hashes=content_hashes(pixels),
        labels=labels,
        soft_labels=soft,
        columns={name: columns[name].combine_chunks() for name in columns.column_names},
        given=np.concatenate([given_of(part) for part in parts]),
    )


def given_of(part: SourceImages) -> npt.NDArray[np.str_]:
    """Return the (n,) split that the source gives each picture; empty for none."""
    return np.full(len(part.ids), "", SPLIT_TYPE) if part.given is None else part.given


def repeated(
    images: LabelledImages, groups: Rows, version: SearchVersion
) -> tuple[Originals, Originals]:
    """Find pictures that an earlier source has too.

    Args:
        images: Pictures of all sources, in the order of the sources.
        groups: (n,) duplicate group of each picture.
        version: Version of the search that found the groups.

    Returns:
        Row of each such picture → row of its most similar copy in the first source that has one.
        The first mapping holds pictures to leave out. The second holds pictures to keep: their
        label differs, and they are not similar enough to be sure that they are copies. With v1
        it is empty.
    """
    sure: Originals = {}
    doubtful: Originals = {}
    for row, (original, likeness) in _likest(images, groups, version).items():
        same = images.labels[row] == images.labels[original]
        strong = same or version == "v1" or likeness >= STRONG_LIKENESS
        (sure if strong else doubtful)[row] = original
    return sure, doubtful


def _likest(
    images: LabelledImages, groups: Rows, version: SearchVersion
) -> dict[int, tuple[int, float]]:
    """Return for each row of a later source its likest original, and how like that is."""
    pairs = np.array(list(_across_sources(images, groups)), dtype=np.int64).reshape(-1, 2)
    found: dict[int, tuple[int, float]] = {}
    if len(pairs):
        correlations = pair_likeness(images.pixels, pairs, version)
        for (original, row), likeness in zip(pairs.tolist(), correlations.tolist(), strict=True):
            if row not in found or likeness > found[row][1]:
                found[row] = (original, likeness)
    return found


def _across_sources(images: LabelledImages, groups: Rows) -> Iterator[tuple[int, int]]:
    """Yield pairs of one group: a row of its earliest source, and one of another source."""
    for rows in _several(groups):
        first = images.sources[rows[0]]
        for row in rows:
            if images.sources[row] != first:
                yield from ((own, row) for own in rows if images.sources[own] == first)


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


def alike(images: LabelledImages, found: Originals) -> Iterator[dict[str, str]]:
    """Yield, for each picture that is kept, the one of an earlier source it may be a copy of."""
    for row, original in sorted(found.items()):
        yield {
            "image_id": images.image_ids[row],
            "label": images.classes[images.labels[row]],
            "original": images.image_ids[original],
            "original_label": images.classes[images.labels[original]],
        }


def doubts(count: int) -> Iterator[str]:
    """Warn of pictures that are kept although they may be copies."""
    if count:
        yield (
            f"{count:,} pictures look like a picture of an earlier source that has another label. "
            "They are kept, because this is not certain; manifest.json lists them under "
            "kept_with_another_label"
        )


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
