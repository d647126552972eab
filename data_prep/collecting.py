"""Turns the records of a source into arrays: maps classes, leaves out pictures, and counts."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.group_columns import OWN_COLUMNS
from data_prep.large_arrays import new_pixels
from data_prep.layout import same_text
from data_prep.pictures import SUFFIXES
from data_prep.records import Found, ReadPicture, Record
from data_prep.rejections import BadInputError, Rejection, Rejections
from data_prep.sources_file import Source, SourcesFile
from data_prep.vote_shares import counted_votes

MAX_TEXT = 200
"""Longest text of a column; longer ones are captions, which group no pictures."""
SPLIT_TYPE = "<U5"
"""Type of arrays of ``train``, ``val`` and ``test``."""
TAKEN = OWN_COLUMNS | {"subset", "width", "height"}
"""Reserved names, which columns of a source cannot keep."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceImages:
    """The n labelled pictures of one source, and counts of what it holds."""

    ids: list[str]
    pixels: npt.NDArray[np.uint8]
    """(n, height, width) gray values, or (n, height, width, 3) colours."""
    labels: npt.NDArray[np.int64]
    """(n,) indices into the dataset's classes."""
    columns: pa.Table
    """n rows of further columns; ``width`` and ``height`` are those of the file, in pixels."""
    found: Counter[tuple[str, str]]
    """(class in the source, subset or empty) → number of pictures."""
    soft_labels: npt.NDArray[np.float32] | None = None
    """(n, classes) label distributions, if the source has them."""
    bad: int = 0
    """Pictures left out because they cannot be read."""
    with_margin: int = 0
    """Pictures with a margin of one colour on all four sides."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Suffix of a name → number of files that are not read as pictures."""
    of_bits: Counter[int] = field(default_factory=Counter)
    """Bits → number of gray pictures that use only so many bits of a 16-bit file."""
    with_frames: int = 0
    """Pictures with several frames, of which the first is read."""
    given: npt.NDArray[np.str_] | None = None
    """(n,) the source's split of each picture, empty for none; None if the source has no split."""
    is_official: bool = True
    """False if we made that split."""
    in_colour: bool = False
    """Whether most pictures are in colour although the dataset is gray."""
    odd_subsets: Counter[str] = field(default_factory=Counter)
    """Texts in a column of splits that are not a split → number of pictures."""
    long_columns: tuple[str, ...] = ()
    """Columns that are left out because their texts are too long to group pictures."""
    vote_notes: tuple[str, ...] = ()
    """Sentences about the votes."""


def collect(
    found: Found, source: Source, file: SourcesFile, rejections: Rejections
) -> SourceImages:
    """Collect the pictures of a source whose class is wanted, in order.

    Raises:
        BadInputError: As `check_found`; or a picture is bad and bad pictures are not skipped.
    """
    counts = Counter((record.label, record.subset) for record in found.records)
    voted = {name for record in found.records for name in record.votes}
    check_found(source, file, counts, voted=voted)
    ours = {label: source.class_of(label, file.classes) for label in found.labels}
    taken: list[tuple[Record, ReadPicture]] = []
    left_out: list[Rejection] = []
    bad = 0
    for record in found.records:
        image_id = f"{source.name}/{record.name}"
        if ours[record.label] is None:
            left_out.append(Rejection(image_id, record.shown, record.row, _why_left_out(record)))
        elif isinstance(record.picture, ReadPicture):
            taken.append((record, record.picture))
        else:
            assert record.picture is not None, "pictures of wanted classes are read"
            rejections.refuse(
                str(record.picture),
                file=record.shown,
                row=record.row,
                way_out="repair or remove it",
            )
            bad += 1
    rejections.leave_out(left_out)
    rejections.leave_out(
        Rejection("", shown, None, "its name does not end like that of a known kind of picture")
        for shown, _ in found.passed_over
    )
    long_columns = _long_columns([record for record, _ in taken])
    places = {name: place for place, name in enumerate(file.classes)}
    pictures = [picture for _, picture in taken]
    images = SourceImages(
        ids=[f"{source.name}/{record.name}" for record, _ in taken],
        pixels=_stacked(pictures, file.pixel_shape),
        labels=np.array([places[ours[record.label] or ""] for record, _ in taken], dtype=np.int64),
        columns=_columns([record for record, _ in taken], pictures, long_columns),
        found=counts,
        bad=bad,
        with_margin=sum(picture.has_margin for picture in pictures),
        passed_over=Counter(ending for _, ending in found.passed_over),
        of_bits=Counter(picture.bits for picture in pictures if picture.bits < 16),
        with_frames=sum(picture.has_frames for picture in pictures),
        given=np.array([record.subset for record, _ in taken], dtype=SPLIT_TYPE),
        in_colour=found.in_colour,
        odd_subsets=found.odd_subsets,
        long_columns=tuple(sorted(long_columns)),
    )
    if source.votes is None:
        return images
    votes = counted_votes([record for record, _ in taken], images.labels, source, file)
    columns = images.columns
    for name, cells in votes.columns.items():
        columns = columns.append_column(name, cells)
    return replace(images, columns=columns, soft_labels=votes.soft_labels, vote_notes=votes.notes)


def _why_left_out(record: Record) -> str:
    if not record.label:
        return record.why_unlabelled
    if record.label == ".":
        return "is not in a class folder"
    return f"{record.label!r} is not mapped to a class"


def _long_columns(records: Sequence[Record]) -> set[str]:
    cells = (cell for record in records for cell in record.columns.items())
    return {name for name, text in cells if len(text) > MAX_TEXT}


def _stacked(pictures: Sequence[ReadPicture], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    pixels = new_pixels((len(pictures), *shape))
    for row, picture in enumerate(pictures):
        pixels[row] = picture.pixels
    return pixels


def _columns(
    records: Sequence[Record], pictures: Sequence[ReadPicture], left_out: set[str]
) -> pa.Table:
    heights, widths = (
        pa.array([picture.shape[axis] for picture in pictures], pa.int32()) for axis in (0, 1)
    )
    subsets = pa.array([record.subset or None for record in records], pa.string())
    names = dict.fromkeys(
        name for record in records for name in record.columns if name not in left_out
    )
    further = {
        free_name(name): pa.array(
            [record.columns.get(name) or None for record in records], pa.string()
        )
        for name in names
    }
    return pa.table({"subset": subsets, "width": widths, "height": heights, **further})


def free_name(name: str) -> str:
    """Return the name of a source's column, with the prefix ``their_`` if it is reserved."""
    is_ours = name in TAKEN or name.startswith("votes_")
    return f"their_{name}" if is_ours else name


def check_found(
    source: Source,
    file: SourcesFile,
    found: Mapping[tuple[str, str], int],
    *,
    voted: Collection[str] = (),
) -> None:
    """Check that a source has the classes in its map, and the counts of a complete copy.

    A class that is only ``voted`` for, but is the label of no picture, may be in the map.

    Raises:
        BadInputError: A class is missing, or a count differs.
    """
    shown = source.path or source.dataset
    pictures = Counter[str]()
    for (theirs, subset), count in found.items():
        pictures[same_text(theirs)] += count
        if subset:
            pictures[same_text(f"{subset}/{theirs}")] += count
    if not pictures:
        raise BadInputError(
            f"{shown} has no pictures in class folders ({', '.join(SUFFIXES)}); check the path"
        )
    there = sorted({theirs or "pictures without a label" for theirs, _ in found})
    known = set(map(same_text, (*there, *voted)))
    for name in map(same_text, source.map or ()):
        if name not in known:
            raise BadInputError(
                f"source {source.name!r} maps {name!r}, but {shown} has {', '.join(there)}; "
                "correct its map"
            )
    if not any(source.class_of(theirs, file.classes) for theirs in there):
        raise BadInputError(
            f"source {source.name!r} gives no pictures: {shown} has {', '.join(there)}, and none "
            "of these is mapped to a class of the dataset; give it a map"
        )
    for name, count in source.expect.items():
        if pictures[same_text(name)] != count:
            raise BadInputError(
                f"source {source.name!r} should hold {count:,} pictures of {name!r}, but {shown} "
                f"holds {pictures[same_text(name)]:,}; complete the copy, or change expect"
            )
