"""Reads classes and subsets (train, val, test) off the folders of a source, by its whole layout."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from unicodedata import normalize

SUBSETS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
}  # fmt: skip
"""Folders that divide a source, above or below its class folders."""


def same_text(name: str) -> str:
    """Return a name in composed form (NFC), because macOS writes é as two characters."""
    return normalize("NFC", name)


def folded(name: str) -> str:
    """Return a form of a name that ignores case and white space."""
    return " ".join(same_text(name).split()).casefold()


@dataclass(frozen=True, kw_only=True)
class Place:
    """The folders that a picture is in."""

    theirs: str
    """The class folder; ``.`` if there is none."""
    subset: str
    """``train``, ``val``, ``test``, or empty."""
    root: PurePosixPath
    """The folder that holds the class folders, or their subsets."""
    below: str = ""
    """Folders below the class folder, such as one for each person; empty if there are none."""


class Layout:
    """Tells subsets from classes with the name of a subset, such as CIFAR-100's ``train``."""

    def __init__(self, folders: Iterable[PurePosixPath], classes: Collection[str]) -> None:
        """Learn the folders of the whole source.

        Args:
            folders: Folders that hold pictures.
            classes: Names of class folders in the sources file.
        """
        self._classes = {same_text(name) for name in classes}
        self._siblings = defaultdict[PurePosixPath, set[str]](set)
        for folder in folders:
            self._siblings[folder.parent].add(folder.name)

    def place(self, path: PurePosixPath) -> Place:
        """Return the folders of a picture: ``class/train/x.png`` or ``train/class/x.png``."""
        folders = list(path.parent.parts)
        subset = ""
        if folders and _is_subset(folders[-1]) and not self._is_class(path.parent):
            subset = SUBSETS[folders.pop().lower()]
        elif len(folders) > 1 and _is_subset(folders[-2]):
            subset = SUBSETS[folders.pop(-2).lower()]
        return Place(
            theirs=folders[-1] if folders else ".", subset=subset, root=PurePosixPath(*folders[:-1])
        )

    def _is_class(self, folder: PurePosixPath) -> bool:
        """Return whether a folder with the name of a subset is a class."""
        known = same_text(folder.name) in self._classes
        above_known = same_text(folder.parent.name) in self._classes
        if known != above_known:
            return known
        # If it is a subset of a class, all folders beside it are subsets too.
        return not all(map(_is_subset, self._siblings[folder.parent]))


class NestedLayout:
    """Takes the outermost folders as classes, and keeps the names of the folders below them.

    Folders that hold everything are skipped. So are train, val and test, if a source has no other
    folders above its classes.
    """

    def __init__(self, folders: Iterable[PurePosixPath], is_class: Callable[[str], bool]) -> None:
        """Learn the folders of the whole source.

        Args:
            folders: Folders that hold pictures.
            is_class: Returns whether a folder is a class; folders above classes are skipped.
        """
        self._is_class = is_class
        self._folders = set(folders)
        self._top = common_folder(self._folders)
        if self._top in self._folders and len(self._folders) == 1:
            self._top = self._top.parent
        inner = [parts for parts in map(self._inner, self._folders) if parts]
        self._has_subsets = _has_subsets(inner)
        below = [parts for parts in map(self._below_subset, inner) if parts]
        self._skip = common_folder({PurePosixPath(*parts[:-1]) for parts in below}).parts

    def place(self, path: PurePosixPath) -> Place:
        """Return the folders of a picture."""
        inner = self._inner(path.parent)
        rest = self._below_subset(inner)[len(self._skip) :]
        subset = SUBSETS[inner[0].lower()] if self._has_subsets and rest else ""
        while rest and not self._is_class(rest[0]):
            rest = rest[1:]
        theirs, below = (rest[0], rest[1:]) if rest else (".", ())
        if not subset and below and _is_subset(below[0]):
            subset, below = SUBSETS[below[0].lower()], below[1:]
        return Place(theirs=theirs, subset=subset, root=self._top, below="/".join(below))

    def _inner(self, folder: PurePosixPath) -> tuple[str, ...]:
        return folder.relative_to(self._top).parts

    def _below_subset(self, inner: tuple[str, ...]) -> tuple[str, ...]:
        """Return the folders from the class on; none for those beside train and test."""
        if not self._has_subsets:
            return inner
        return inner[1:] if inner and _is_subset(inner[0]) else ()


def _has_subsets(folders: Collection[tuple[str, ...]]) -> bool:
    """Return whether the outermost folders are train, val or test, and not classes.

    They are if there are no others. If there are, two of them must hold folders, and only folders:
    a class of vehicles may be called train.
    """
    subsets = [parts for parts in folders if _is_subset(parts[0])]
    if len(subsets) == len(folders):
        return bool(folders)
    kinds = {SUBSETS[parts[0].lower()] for parts in subsets}
    return len(kinds) > 1 and all(len(parts) > 1 for parts in subsets)


def common_folder(folders: Collection[PurePosixPath]) -> PurePosixPath:
    """Return the deepest folder that holds all of these or is one of them."""
    for folder in ((first := min(folders)), *first.parents) if folders else ():
        if all(other.is_relative_to(folder) for other in folders):
            return folder
    return PurePosixPath()


def subset_above(path: PurePosixPath) -> str:
    """Return the subset that the folders above a file name: the nearest one; empty for none."""
    return next((SUBSETS[name.lower()] for name in path.parts[-2::-1] if _is_subset(name)), "")


def subset_of(text: str) -> str:
    """Return the subset that a text names, as in a column ``split``; empty for none."""
    name = text.strip().lower()
    return {"publictest": "val", "privatetest": "test", **SUBSETS}.get(name, "")


def _is_subset(name: str) -> bool:
    return name.lower() in SUBSETS
