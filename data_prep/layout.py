"""Reads classes and subsets (train, val, test) off the folders of a source, by its whole layout."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from unicodedata import normalize

SUBSETS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
}  # fmt: skip
"""Folders that divide a source, above or below its class folders."""


def same_text(name: str) -> str:
    """Return a name in composed form (NFC): macOS writes é as two characters, others as one."""
    return normalize("NFC", name)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a picture lies among the folders."""

    theirs: str
    """The class folder; ``.`` where there is none."""
    subset: str
    """``train``, ``val``, ``test``, or empty."""
    root: PurePosixPath
    """The folder that holds the class folders, or the subsets of them."""


class Layout:
    """Tells subsets from classes that bear the name of one, such as CIFAR-100's ``train``."""

    def __init__(self, folders: Iterable[PurePosixPath], classes: Collection[str]) -> None:
        """Look at the whole source.

        Args:
            folders: Those that hold pictures.
            classes: Names of class folders that the sources file knows.
        """
        self._classes = {same_text(name) for name in classes}
        self._siblings = defaultdict[PurePosixPath, set[str]](set)
        for folder in folders:
            self._siblings[folder.parent].add(folder.name)

    def place(self, path: PurePosixPath) -> Place:
        """Return where a picture lies: ``class/train/x.png`` or ``train/class/x.png``."""
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
        """Return whether a folder that bears the name of a subset is a class."""
        known = same_text(folder.name) in self._classes
        above_known = same_text(folder.parent.name) in self._classes
        if known != above_known:
            return known
        # The subsets of a class have only subsets beside them.
        return not all(map(_is_subset, self._siblings[folder.parent]))


def _is_subset(name: str) -> bool:
    return name.lower() in SUBSETS
