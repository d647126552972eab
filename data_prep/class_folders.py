"""Reads pictures that lie in one folder per class: any kind, any size, in folders or archives."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.layout import Layout, same_text
from data_prep.pictures import SUFFIXES, PictureError, read_picture, resize_pixels
from data_prep.places import READ_ERRORS, Member, members
from data_prep.rejections import BadInputError, Rejection, Rejections
from data_prep.sources_file import Source, SourcesFile

MARGIN_TOLERANCE = 8
"""Values by which the pixels of a margin may differ, as lossy compression makes them."""
MARGIN_SLACK = 2
"""Pixels by which the sides of a margin may differ; what is wider belongs to the picture."""

SPLIT_TYPE = "<U5"
"""Of arrays of ``train``, ``val`` and ``test``."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceImages:
    """What one source gives: n labelled pictures, and what was found there."""

    ids: list[str]
    pixels: Pixels
    """(n, height, width) gray values, or (n, height, width, 3) colours."""
    labels: npt.NDArray[np.int64]
    """(n,) places in our classes."""
    columns: pa.Table
    """n rows of further columns; ``width`` and ``height`` are those of the file, in pixels."""
    found: Counter[tuple[str, str]]
    """(their class, subset or empty) → pictures found."""
    soft_labels: npt.NDArray[np.float32] | None = None
    """(n, classes) distributions over our classes, where the source knows them."""
    bad: int = 0
    """Pictures left out because they cannot be read."""
    with_margin: int = 0
    """Pictures that have a margin of one colour on all four sides."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Ending of a name → files that are not read as pictures."""
    of_bits: Counter[int] = field(default_factory=Counter)
    """Bits → gray pictures of fewer than 16 that lie in files of 16 bits."""
    with_frames: int = 0
    """Pictures that have several frames, of which the first is read."""
    given: npt.NDArray[np.str_] | None = None
    """(n,) split that the source puts each picture in, empty for none; None for none at all."""
    is_official: bool = True
    """False where we dealt that split."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """A picture file, read and brought to the size of the dataset."""

    pixels: Pixels
    shape: tuple[int, ...]
    """Height and width of the file."""
    has_margin: bool
    bits: int
    """Bits that a file of 16 bits uses; 16 for all others."""
    has_frames: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class _Picture:
    """One picture taken in."""

    path: PurePosixPath
    subset: str
    label: int
    read: _Read


@dataclass(kw_only=True)
class _Found:
    """Collects what the walk comes by."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: list[_Picture] = field(default_factory=list)
    left_out: list[tuple[Member, str]] = field(default_factory=list)
    roots: set[PurePosixPath] = field(default_factory=set)
    bad: int = 0
    with_margin: int = 0
    passed_over: list[Member] = field(default_factory=list)
    of_bits: Counter[int] = field(default_factory=Counter)
    with_frames: int = 0


def read_class_folders(source: Source, file: SourcesFile, rejections: Rejections) -> SourceImages:
    """Read a folder or archive that has one folder per class, anywhere below it.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: There are no pictures; a folder of the map, or of a complete copy, is not
            there or not full; or a picture is bad and bad ones are not to be skipped.
    """
    assert source.path is not None
    found = _Found()
    pictures: list[tuple[Member, _Read | Exception | None]] = []
    for member in members(source.path, rejections):
        if _is_picture(member):
            # Now, since an archive is gone through once, though classes are known at its end only.
            pictures.append((member, _read(member, source, file)))
        else:
            found.passed_over.append(member)
    folders = {member.path.parent for member, _ in pictures}
    layout = Layout(folders, file.classes if source.map is None else source.map)
    for member, read in pictures:
        _take(member, read, layout, source, file, rejections, found)
    check_found(source, file, found.counts)
    top = _common(found.roots)

    def image_id(path: PurePosixPath) -> str:
        return f"{source.name}/{path.relative_to(top)}"

    rejections.leave_out(
        Rejection(
            image_id(member.path), member.shown, None, f"{theirs!r} is mapped to no class of ours"
        )
        for member, theirs in found.left_out
    )
    rejections.leave_out(
        Rejection("", member.shown, None, "its name is not that of a picture of a known kind")
        for member in found.passed_over
    )
    taken = sorted(found.taken, key=lambda one: one.path)
    heights, widths = (
        pa.array([one.read.shape[axis] for one in taken], pa.int32()) for axis in (0, 1)
    )
    subsets = pa.array([one.subset or None for one in taken], pa.string())
    shape = (len(taken), *file.pixel_shape)
    return SourceImages(
        ids=[image_id(one.path) for one in taken],
        pixels=np.array([one.read.pixels for one in taken], dtype=np.uint8).reshape(shape),
        labels=np.array([one.label for one in taken], dtype=np.int64),
        columns=pa.table({"subset": subsets, "width": widths, "height": heights}),
        found=found.counts,
        bad=found.bad,
        with_margin=found.with_margin,
        passed_over=Counter(member.path.suffix.lower() for member in found.passed_over),
        of_bits=found.of_bits,
        with_frames=found.with_frames,
        given=np.array([one.subset for one in taken], dtype=SPLIT_TYPE),
    )


def _is_picture(member: Member) -> bool:
    return member.path.suffix.lower() in SUFFIXES


def _read(member: Member, source: Source, file: SourcesFile) -> _Read | Exception | None:
    """Read a picture if a folder that may be its class is wanted; return why if it cannot be."""
    candidates = (*member.path.parent.parts[-2:], ".")  # As `Layout.place` calls a class.
    if not any(source.class_of(name, file.classes) for name in candidates):
        return None
    try:
        with member.open() as stream:
            picture = read_picture(stream, colour=file.colour)
    except (PictureError, *READ_ERRORS) as error:
        return error
    whole = picture.pixels
    inner = without_margin(whole)
    kept = inner if source.trim_margin else whole
    return _Read(
        pixels=resize_pixels(kept, (file.image_size, file.image_size)),
        shape=whole.shape,
        has_margin=inner.shape != whole.shape,
        bits=picture.bits if picture.is_deep else 16,
        has_frames=picture.frames > 1,
    )


def _take(
    member: Member, read: _Read | Exception | None, layout: Layout, source: Source,
    file: SourcesFile, rejections: Rejections, found: _Found,
) -> None:  # fmt: skip
    """Count a picture, and take it in if its class is wanted."""
    place = layout.place(member.path)
    found.counts[place.theirs, place.subset] += 1
    found.roots.add(place.root)
    ours = source.class_of(place.theirs, file.classes)
    if ours is None:
        found.left_out.append((member, place.theirs))
        return
    assert read is not None, "its class folder is one of those that it was read for"
    if isinstance(read, Exception):
        rejections.refuse(str(read), file=member.shown, way_out="mend or remove it")
        found.bad += 1
        return
    found.with_margin += read.has_margin
    if read.bits < 16:
        found.of_bits[read.bits] += 1
    found.with_frames += read.has_frames
    label = file.classes.index(ours)
    found.taken.append(_Picture(path=member.path, subset=place.subset, label=label, read=read))


def _common(roots: set[PurePosixPath]) -> PurePosixPath:
    """Return the deepest folder that holds all class folders, so ids are those of any copy."""
    first, *others = sorted(roots)
    for root in (first, *first.parents):
        if all(other.is_relative_to(root) for other in others):
            return root
    return PurePosixPath()


def without_margin(pixels: Pixels) -> Pixels:
    """Return (height, width) or (height, width, 3) pixels without the margin of one colour.

    A margin is on all four sides and about as wide on each: a picture whose own edge has the
    margin's colour loses nothing of it. Without a margin the picture comes back whole.
    """
    differ = np.abs(pixels.astype(np.int16) - pixels[0, 0]) > MARGIN_TOLERANCE
    inside = differ.any(axis=2) if differ.ndim == 3 else differ
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return pixels
    height, width = inside.shape
    sides = np.array([rows[0], height - 1 - rows[-1], columns[0], width - 1 - columns[-1]])
    if not sides.min():
        return pixels
    top, bottom, left, right = np.minimum(sides, sides.min() + MARGIN_SLACK)
    return pixels[top : height - bottom, left : width - right]


def check_found(source: Source, file: SourcesFile, found: Counter[tuple[str, str]]) -> None:
    """Make sure that a source has what its map names and as much as a complete copy.

    Raises:
        BadInputError: It has not.
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
    there = sorted({theirs for theirs, _ in found})
    for name in {same_text(name) for name in source.map or ()} - set(map(same_text, there)):
        raise BadInputError(
            f"source {source.name!r} maps {name!r}, but {shown} has {', '.join(there)}; "
            "mend its map"
        )
    if not any(source.class_of(theirs, file.classes) for theirs in there):
        raise BadInputError(
            f"source {source.name!r} gives nothing: {shown} has {', '.join(there)}, and none is "
            "mapped to a class of ours; give it a map"
        )
    for name, count in source.expect.items():
        if pictures[same_text(name)] != count:
            raise BadInputError(
                f"source {source.name!r} should hold {count:,} pictures of {name!r}, but {shown} "
                f"holds {pictures[same_text(name)]:,}; complete the copy, or change expect"
            )
