"""Reads sets through torchvision: from the folder where it keeps them, or from its download."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from data_prep.records import SET_LABELS, Found, PictureReader, Record
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile
from fairsweep.errors import UserError, nearest, one_line

SPLITS: Mapping[str, str] = {
    "train": "train", "trainval": "train", "val": "val", "valid": "val", "test": "test",
}  # fmt: skip
"""Value of torchvision's argument ``split`` → our split; of two values for one split, the first
that a set has is used."""
NO_SETS = ("DatasetFolder", "FakeData", "ImageFolder")
"""Classes in `torchvision.datasets` that are not sets."""
_FAULTS = (RuntimeError, OSError, ImportError, ValueError, SyntaxError, EOFError, LookupError)
"""Exceptions of torchvision's sets if files are missing or damaged."""


def find_in_torchvision(source: Source, file: SourcesFile, rejections: Rejections) -> Found:
    """Read all splits of one of torchvision's sets of pictures with one class each.

    Raises:
        UserError: torchvision is not installed, or has no such set.
        BadInputError: The set is not in the folder, is damaged, or has no class for each picture;
            or a picture is bad and bad pictures are not skipped.
    """
    make = _set_named(source.torchvision or "")
    reader = PictureReader(source, file)
    records: list[Record] = []
    for subset, part in _parts(make, source):
        records += _records(part, subset, source, reader, rejections)
    return Found(records=records, in_colour=reader.in_colour, rule=SET_LABELS)


def _set_named(name: str) -> Any:
    try:
        # torchvision imports torch, which takes seconds and which no other source needs.
        from torchvision import datasets
    except ImportError as error:
        raise UserError(
            f"torchvision is needed to read its set {name}, but cannot be imported "
            f"({one_line(error)}); install it: pip install torchvision"
        ) from error
    known = [one for one in datasets.__all__ if one not in NO_SETS and _can_be_made(datasets, one)]
    if name not in known:
        in_any_case = {one.lower(): one for one in known}
        raise UserError(
            f"torchvision has no set {name!r} that can be read by its name and folder; did you "
            f"mean {in_any_case[nearest(name.lower(), in_any_case)]!r}?"
        )
    return getattr(datasets, name)


def _can_be_made(datasets: Any, name: str) -> bool:
    """Return whether a set needs nothing but a folder."""
    made = getattr(datasets, name)
    if not inspect.isclass(made):
        return False
    parameters = list(inspect.signature(made).parameters.values())
    needed = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    return needed == ["root"]


def _parts(make: Any, source: Source) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield each split with its pictures; an empty name if the set has no splits."""
    arguments = inspect.signature(make).parameters
    if "split" in arguments:
        found = set[str]()
        for word, subset in SPLITS.items():
            part = None if subset in found else _opened(make, source, split=word)
            if part is not None:
                found.add(subset)
                yield subset, part
        if not found:
            raise UserError(f"torchvision's {source.torchvision} has none of {', '.join(SPLITS)}")
    elif "train" in arguments:
        for subset in ("train", "test"):
            yield subset, _opened(make, source, train=subset == "train") or ()
    else:
        yield "", _opened(make, source) or ()


def _opened(make: Any, source: Source, **which: Any) -> Sequence[Any] | None:
    """Open one split of a set; None if the set has no such split."""
    name, words = source.torchvision, " ".join(f"{key}={value}" for key, value in which.items())
    if source.download:
        if "download" not in inspect.signature(make).parameters:
            raise UserError(
                f"torchvision cannot download {name}; get it yourself, and leave out download"
            )
        which["download"] = True
    try:
        part: Sequence[Any] = make(source.path, **which)
    except _FAULTS as error:
        if isinstance(error, ValueError) and "for argument split" in str(error):
            return None
        way_out = "check the path, or let torchvision download it (images: --download)"
        if source.download:
            way_out = "check the network, or copy the files there"
        raise BadInputError(
            f"{source.path}: torchvision cannot open {name} {words}".rstrip()
            + f" ({one_line(error)[:200]}); {way_out}"
        ) from error
    return part


def _records(
    part: Sequence[Any], subset: str, source: Source, reader: PictureReader, rejections: Rejections
) -> Iterator[Record]:
    names, shown = _class_names(part), f"torchvision's {source.torchvision} {subset}".rstrip()
    for row in range(len(part)):
        try:
            picture, target = part[row]
        except _FAULTS as error:
            reason = f"cannot be read ({one_line(error)[:200]})"
            rejections.refuse(reason, file=shown, row=row, way_out="download the set again")
            continue
        if not isinstance(picture, Image.Image) or not isinstance(target, int | np.integer):
            raise BadInputError(
                f"{shown}: row {row} is of the types {type(picture).__name__} and "
                f"{type(target).__name__}, but only a picture and its class can be read; give "
                "another set"
            )
        plain = picture if picture.mode == "L" else picture.convert("RGB")
        yield Record(
            name=f"{subset}/{row:06}".lstrip("/"),
            shown=shown,
            row=row,
            label=names[int(target)] if names else str(target),
            picture=reader.from_pixels(np.asarray(plain, dtype=np.uint8)),
            subset=subset,
        )


def _class_names(part: Any) -> Sequence[str]:
    """Return the names of a set's classes; empty if they are only numbers."""
    given = getattr(part, "classes", None) or getattr(part, "categories", None) or ()
    names = [", ".join(name) if isinstance(name, tuple) else str(name) for name in given]
    return names if len(set(names)) == len(names) else ()
