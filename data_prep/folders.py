"""Merges prepared datasets and class folders into one dataset, without duplicates between them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from data_prep.class_names import with_classes
from data_prep.collecting import SourceImages, collect
from data_prep.duplicates import SearchVersion, duplicate_groups
from data_prep.given import OwnSplit, choose_split
from data_prep.group_columns import GroupColumns, read_group_columns
from data_prep.layouts import find_source
from data_prep.manifest import DatasetManifest
from data_prep.merging import alike, check_ids, doubts, given_of, merge, over_limit, repeated, told
from data_prep.picture_votes import with_votes
from data_prep.prepared import labels_of, read_prepared
from data_prep.records import FOLDER_LABELS, Found
from data_prep.rejections import Rejection, Rejections
from data_prep.sources_file import SourcesFile, read_sources
from data_prep.splits import SplitMethod
from data_prep.telling import how_read, pictures_found
from data_prep.writer import Recipe, check_output, write_dataset


class PrepareOptions(TypedDict, total=False):
    """What a user may decide beside the sources file."""

    split: SplitMethod | None
    """Split method; by default that of the sources file, or the official split if all sources have
    one."""
    seed: int
    """Seed of the split, the folds, and the sampling for limits; 0 by default."""
    near_duplicates: bool
    """Whether to look for near-identical pictures, not only byte-identical ones; by default yes."""
    duplicates: SearchVersion | None
    """Version of the search for near-identical pictures; by default as in the sources file."""
    groups: Path | None
    """CSV with ``image_id`` and any further columns to join."""
    together: str | None
    """Column whose pictures with equal values (a person, a scene) stay in one split."""
    skip_bad: bool
    """Whether to list bad pictures in ``rejected.csv`` instead of stopping at the first."""
    name: str | None
    """Name of the dataset; by default that in the sources file, or that of ``out``."""


def prepare_folders(
    *, config: Path, out: Path, **options: Unpack[PrepareOptions]
) -> DatasetManifest:
    """Merge the sources that a file lists.

    Pictures that are identical or near-identical to one of an earlier source are left out. Copies
    within a source are kept, in one duplicate group.

    Args:
        config: The sources file.
        out: Directory to write, which must be empty or missing.
        options: `PrepareOptions`.

    Raises:
        MissingFileError: A file does not exist.
        UserError: A file breaks a rule, or ``out`` cannot be written.
    """
    check_output(out)
    return prepare_sources(read_sources(config), out=out, **options)


def prepare_sources(
    file: SourcesFile,
    *,
    out: Path,
    split: SplitMethod | None = None,
    seed: int = 0,
    near_duplicates: bool = True,
    duplicates: SearchVersion | None = None,
    groups: Path | None = None,
    together: str | None = None,
    skip_bad: bool = False,
    name: str | None = None,
) -> DatasetManifest:
    """Merge sources as `prepare_folders` does, from a sources file that has been read."""
    check_output(out)
    rejections = Rejections(skip_bad=skip_bad)
    found: list[Found | None] = []
    vote_notes: list[str] = []
    for source in file.sources:
        one = None if source.path is None else find_source(source, file, rejections)
        if one is not None:
            one, notes_of_source = with_votes(one, source, file, rejections)
            vote_notes += notes_of_source
        found.append(one)
    labels = [
        labels_of(source) if one is None else one.labels
        for source, one in zip(file.sources, found, strict=True)
    ]
    file = with_classes(file, labels)
    rules = dict.fromkeys(one.rule for one in found if one is not None)
    parts = []
    for place, source in enumerate(file.sources):
        one, found[place] = found[place], None  # Free a source's records once its arrays are read.
        if one is None:
            parts.append(read_prepared(source, file, rejections))
        else:
            parts.append(collect(one, source, file, rejections))
    choice = choose_split(
        split or file.split,
        [
            OwnSplit(
                source=source.name,
                ids=part.ids,
                given=given_of(part),
                is_official=part.is_official,
            )
            for source, part in zip(file.sources, parts, strict=True)
        ],
    )
    images = merge(file, parts)
    version = duplicates or file.duplicates
    of_group = duplicate_groups(images.pixels, images.hashes, near=near_duplicates, version=version)
    originals, doubtful = repeated(images, of_group, version)
    kept_alike = list(alike(images, doubtful))
    rejections.leave_out(told(images, originals))
    differ = sum(images.labels[row] != images.labels[one] for row, one in originals.items())
    steps = _Steps(parts)
    kept = steps.without(np.array(list(originals), dtype=np.int64), "already in an earlier source")
    images, of_group = images.take(kept), of_group[kept]
    check_ids(images)
    over = over_limit(file, images, seed)
    rejections.leave_out(
        Rejection(images.image_ids[row], "", None, "over the limit of its class") for row in over
    )
    kept = steps.without(over, "over the limit of its class")
    images, of_group = images.take(kept), of_group[kept]
    notes = GroupColumns()
    if groups is not None:
        notes = read_group_columns(groups, images.image_ids, rejections)
        images = replace(images, columns={**images.columns, **notes.columns})
    recipe = Recipe(
        name=name or file.name or out.absolute().name,
        label_rule=" and ".join(rules) or FOLDER_LABELS,
        split=choice.method,
        seed=seed,
        near_duplicates=near_duplicates,
        duplicates=version,
        min_per_class=file.min_per_class,
        fit=file.fit,
        together=together or file.together,
    )
    details = {
        "found": list(pictures_found(file, parts)),
        "repeated": len(originals),
        "repeated_with_another_label": int(differ),
        "kept_with_another_label": kept_alike,
        "notes": [
            *choice.notes,
            *vote_notes,
            *(note for part in parts for note in part.vote_notes),
        ],
        "warnings": [*how_read(file, parts), *choice.warnings, *doubts(len(doubtful))],
        "group_columns": notes.notes,
    }
    return write_dataset(
        out, images, recipe, groups=of_group, steps=steps.rows, details=details,
        rejections=rejections, named=None if groups is None else notes.named,
    )  # fmt: skip


class _Steps:
    """The cleaning steps so far, with the number of pictures that each removed and left."""

    def __init__(self, parts: Sequence[SourceImages]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._left = sum(sum(part.found.values()) for part in parts)
        bad = sum(part.bad for part in parts)
        wanted = sum(len(part.ids) for part in parts)
        self._note("bad input", bad)
        self._note("mapped to no class", self._left - wanted)

    def without(self, removed: "np.ndarray[Any, np.dtype[np.int64]]", step: str) -> Any:
        """Record a step that removes some of the remaining rows; return the others."""
        kept = np.setdiff1d(np.arange(self._left), removed)
        self._note(step, len(removed))
        return kept

    def _note(self, step: str, removed: int) -> None:
        self._left -= removed
        self.rows.append({"step": step, "removed": removed, "left": self._left})
