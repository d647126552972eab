"""Iterates over the files of a folder, a zip or a tar, without unpacking it."""

import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from data_prep.rejections import BadInputError, Rejections
from data_prep.walking import is_hidden, printable, walk
from fairsweep.errors import MissingFileError

READ_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,  # zipfile: a member is encrypted
    NotImplementedError,  # zipfile: a compression method that Python lacks
    KeyError,  # tarfile: a link to a missing member
    zlib.error,
    lzma.LZMAError,  # not an OSError, unlike the errors of gzip and bzip2
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""Exceptions of folders and archives that cannot be read to the end."""

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of a folder or archive."""

    path: PurePosixPath
    """Path inside the folder or archive."""
    shown: str
    """Path for messages, beginning with the name of the folder or archive."""
    size_bytes: int
    open: Callable[[], IO[bytes]]
    """Opens the content; in an archive, only the latest member can be opened."""


def is_archive(path: Path) -> bool:
    """Return whether ``path`` has the name of a zip or tar."""
    return path.name.lower().endswith((".zip", *TAR_SUFFIXES))


def members(path: Path, rejections: Rejections) -> Iterator[Member]:
    """Iterate over all files in a folder or an archive, except hidden ones.

    Raises:
        MissingFileError: ``path`` does not exist.
        BadInputError: Bad input is not skipped, and a link is broken, a member's path or link
            leaves the archive, a zip has a link, a name is not UTF-8, or the archive is damaged.
    """
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; check the path")
    if path.is_dir():
        yield from _folder_members(path, rejections)
        return
    walk = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    try:
        yield from walk(path, rejections)
    except BadInputError:
        raise
    except READ_ERRORS as error:
        reason = f"the archive cannot be read to its end ({error or type(error).__name__})"
        rejections.refuse(reason, file=path.name, way_out="download it again")


def _folder_members(path: Path, rejections: Rejections) -> Iterator[Member]:
    above = len(path.parts)
    for found in walk(path):
        inner = PurePosixPath(*found.path.parts[above:])
        shown = f"{path.name}/{printable(inner)}"
        if found.fault:
            rejections.refuse(found.fault, file=shown, way_out="repair or remove it")
            continue
        yield Member(
            path=inner,
            shown=shown,
            size_bytes=found.path.stat().st_size,
            open=partial(_open_file, found.path),
        )


def _zip_members(path: Path, rejections: Rejections) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # Some programs for Windows write backslashes between folders.
            name = info.filename.replace("\\", "/")
            shown = f"{path.name}:{printable(name)}"
            if stat.S_ISLNK(info.external_attr >> 16):
                # The target would have to be unpacked, and can have any size.
                if not is_hidden(PurePosixPath(name)):
                    reason, way_out = "a link in a zip is not followed", "pack the files themselves"
                    rejections.refuse(reason, file=shown, way_out=way_out)
            elif _may_be_read(path, [name], rejections) and not name.endswith("/"):
                yield Member(
                    path=PurePosixPath(posixpath.normpath(name)),
                    shown=shown,
                    size_bytes=info.file_size,
                    open=partial(archive.open, info),
                )


def _tar_members(path: Path, rejections: Rejections) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            paths = [info.name]
            if info.issym():
                paths.append(posixpath.join(posixpath.dirname(info.name), info.linkname))
            elif info.islnk():
                paths.append(info.linkname)
            if _may_be_read(path, paths, rejections) and (info.isreg() or len(paths) > 1):
                yield Member(
                    path=PurePosixPath(posixpath.normpath(info.name)),
                    shown=f"{path.name}:{info.name}",
                    size_bytes=info.size,
                    open=partial(_open_in_tar, archive, info),
                )


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_in_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise KeyError(f"{info.name} links to no file")
    return stream


def _may_be_read(archive: Path, paths: list[str], rejections: Rejections) -> bool:
    """Return whether a member may be read: it is not hidden, and its name and paths are valid.

    Args:
        archive: The archive.
        paths: The member's own path, and for a link also that of its target.
        rejections: Collects refused members.
    """
    shown = f"{archive.name}:{printable(paths[0])}"
    for inner in paths:
        plain = posixpath.normpath(inner.replace("\\", "/"))
        if plain.startswith("/") or plain.split("/")[0] == ".." or plain[1:2] == ":":
            reason = f"{inner!r} leads out of the archive"
            rejections.refuse(reason, file=shown, way_out="get an undamaged copy")
            return False
    if is_hidden(PurePosixPath(posixpath.normpath(paths[0]))):
        return False
    if printable(paths[0]) != paths[0]:
        reason = "its name is not UTF-8"
        rejections.refuse(reason, file=shown, way_out="rename it and pack again")
        return False
    return True
