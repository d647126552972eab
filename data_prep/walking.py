"""Walks through a folder, with the same rules for preparing a dataset and for predicting."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file in a folder, or a path that cannot be read."""

    path: Path
    fault: str = ""
    """Why the path cannot be read; empty for a file."""


def is_hidden(path: PurePath) -> bool:
    """Return whether a path is hidden, or in a folder of an operating system such as `__MACOSX`."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def walk(root: Path) -> Iterator[Found]:
    """Yield all files below a folder, sorted by path.

    Hidden files are skipped. Links are followed, also to folders, except a link to a folder that
    contains the link.
    """
    yield from sorted(_walk(root, {_identity(root)}), key=lambda found: found.path.parts)


def _walk(folder: Path, above: set[tuple[int, int]]) -> Iterator[Found]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        yield Found(path=folder, fault=f"this folder cannot be read ({error.strerror})")
        return
    for entry in entries:
        path = folder / entry.name
        if is_hidden(PurePath(entry.name)):
            continue
        if not path.exists():
            yield Found(path=path, fault="this link leads nowhere")
        elif not _is_text(entry.name):
            yield Found(path=path, fault="its name is not UTF-8; rename it")
        elif not entry.is_dir():
            yield Found(path=path, fault="" if entry.is_file() else "is no regular file")
        elif _identity(path) not in above:
            yield from _walk(path, above | {_identity(path)})


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _is_text(name: str) -> bool:
    return printable(name) == name


def printable(path: object) -> str:
    """Return a path for messages and files, with bytes that are not text as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def not_read(suffixes: Mapping[str, int]) -> str:
    """Return how many files are not read because they are not pictures of a known kind.

    Args:
        suffixes: Suffix of a name → number of files.
    """
    each = ", ".join(f"{n:,} {name or 'without an ending'}" for name, n in sorted(suffixes.items()))
    total = sum(suffixes.values())
    files = "file is not a picture" if total == 1 else "files are not pictures"
    return f"{total:,} {files} of a known kind and not read: {each}"
